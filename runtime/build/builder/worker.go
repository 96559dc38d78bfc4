package builder

import (
	"context"

	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/source/containerimage"
	"github.com/moby/buildkit/worker/base"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/runtime/build"
)

// worker is BuildKit's worker with our image store at both ends.
type worker struct {
	*base.Worker
	source *imageSource
	export *imageExporter
}

// ResolveSourceMetadata implements worker.Worker.
func (w *worker) ResolveSourceMetadata(ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt, sm *session.Manager, jobs solver.JobContext) (*sourceresolver.MetaResponse, error) {
	id, err := w.ParseSource(op, platformOf(opt))
	if err != nil {
		return nil, err
	}
	named, ok := id.(*containerimage.ImageIdentifier)
	if !ok {
		return w.Worker.ResolveSourceMetadata(ctx, op, opt, sm, jobs)
	}
	var g session.Group
	if jobs != nil {
		g = jobs.Session()
	}
	want := sourceresolver.ResolveImageOpt{}
	if opt.ImageOpt != nil {
		want = *opt.ImageOpt
	}
	if want.Platform == nil {
		want.Platform = named.Platform
	}
	found, err := w.source.metadata(ctx, named, &want, sm, g)
	if err != nil {
		return nil, err
	}
	return &sourceresolver.MetaResponse{Op: op, Image: found}, nil
}

func platformOf(opt sourceresolver.Opt) *pb.Platform {
	var p *v1.Platform
	if opt.ImageOpt != nil {
		p = opt.ImageOpt.Platform
	}
	if p == nil {
		return nil
	}
	return &pb.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion}
}

// Exporter implements worker.Worker.
func (w *worker) Exporter(name string, sm *session.Manager) (exporter.Exporter, error) {
	if name == build.Exporter {
		return w.export, nil
	}
	return w.Worker.Exporter(name, sm)
}
