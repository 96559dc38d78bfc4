package solve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/grpcerrors"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"

	"stack/runtime/build"
	"stack/runtime/image"
)

// Run has a job done; tell is called for each result, one at a time. Progress goes
// to out. The error is about what concerns no single image.
func Run(ctx context.Context, job build.Job, out *os.File, tell func(build.Result)) error {
	if job.Version != build.Version {
		return fmt.Errorf("cannot read job: it has version %d, this program knows %d", job.Version, build.Version)
	}
	c, err := connect(ctx, job.Machine)
	if err != nil {
		return err
	}
	defer c.Close()
	if job.Prune != nil {
		return prune(ctx, c, *job.Prune, tell)
	}
	images, err := image.Open(job.Machine.Images, nil)
	if err != nil {
		return err
	}
	hold, err := images.Hold(ctx) // base images stay until they are built on
	if err != nil {
		return err
	}
	defer hold.Close()
	d, err := newDisplay(out, job)
	if err != nil {
		return err
	}
	r := &run{job: job, client: c, display: d, done: map[string]*outcome{}, tell: tell}
	for _, q := range job.Images {
		r.done[q.Service] = &outcome{ready: make(chan struct{})}
	}
	r.all(ctx)
	return nil
}

// run is a job under way.
type run struct {
	job     build.Job
	client  *client.Client
	display *display
	done    map[string]*outcome // by service

	mu   sync.Mutex
	tell func(build.Result)
}

// outcome is what others wait for whose context an image is.
type outcome struct {
	ready  chan struct{}
	result build.Result
}

// all builds side by side. The first failure stops the others.
func (r *run) all(ctx context.Context) {
	defer r.display.close()
	g, gctx := errgroup.WithContext(ctx)
	for _, q := range r.job.Images {
		g.Go(func() error {
			res, err := r.one(gctx, q)
			res.Service = q.Service
			if err != nil {
				res.Error, res.Canceled = err.Error(), gctx.Err() != nil
			}
			r.finish(res)
			return err
		})
	}
	g.Wait()
}

func (r *run) finish(res build.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(res)
	o := r.done[res.Service]
	o.result = res
	close(o.ready)
}

// one builds an image, once those that it builds on are there.
func (r *run) one(ctx context.Context, q build.Request) (build.Result, error) {
	contexts, err := r.contexts(ctx, q)
	if err != nil {
		return build.Result{}, err
	}
	if r.job.Check {
		return build.Result{}, r.check(ctx, q, contexts)
	}
	opt, err := options(q, contexts, r.job)
	if err != nil {
		return build.Result{}, err
	}
	status, logs := r.display.attach(q.Service)
	resp, err := r.client.Solve(ctx, nil, opt, status)
	logs.wait()
	if err != nil && ctx.Err() == nil && grpcerrors.Code(err) == codes.Unavailable {
		return build.Result{}, fmt.Errorf("the build server died, see %s: %w", filepath.Join(build.Dir(r.job.Machine), "log"), err)
	}
	if err != nil {
		return build.Result{}, r.display.explain(err, q.Service, logs)
	}
	return build.Result{
		Image:    resp.ExporterResponse["containerimage.config.digest"],
		Manifest: resp.ExporterResponse["containerimage.digest"],
	}, nil
}

// contexts replaces other images of the job by what became of them.
func (r *run) contexts(ctx context.Context, q build.Request) (map[string]string, error) {
	out := map[string]string{}
	for name, where := range q.Contexts {
		service, ok := build.TargetService(where)
		if !ok {
			out[name] = where
			continue
		}
		o := r.done[service]
		if o == nil {
			return nil, fmt.Errorf("additional context %q: service %q is not built here", name, service)
		}
		select {
		case <-o.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if o.result.Error != "" {
			return nil, errors.New("service " + service + " could not be built")
		}
		image := r.tagOf(service)
		out[name] = "docker-image://" + image + "@" + o.result.Manifest
	}
	return out, nil
}

func (r *run) tagOf(service string) string {
	for _, q := range r.job.Images {
		if q.Service == service && len(q.Tags) > 0 {
			return q.Tags[0]
		}
	}
	return service
}

func prune(ctx context.Context, c *client.Client, p build.Prune, tell func(build.Result)) error {
	var sum int64
	ch := make(chan client.UsageInfo)
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		for u := range ch {
			sum += u.Size
		}
	}()
	opts := []client.PruneOption{client.WithKeepOpt(p.Unused, 0, p.KeepBytes, 0)}
	if p.All {
		opts = append(opts, client.PruneAll)
	}
	err := c.Prune(ctx, ch, opts...)
	close(ch)
	<-counted
	tell(build.Result{Reclaimed: sum})
	if err != nil {
		return fmt.Errorf("cannot prune the build cache: %w", err)
	}
	return nil
}
