package builder

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/runtime/image"
)

// applier fills snapshots with layers of base images. A layer that the image store
// has unpacked is linked, any other one is unpacked.
type applier struct {
	diff.Applier
	images *image.Store

	mu sync.Mutex
	// known leads from a layer to the chains in which base images have it. What an
	// archive leaves out may make the trees of one layer differ between chains.
	known map[digest.Digest]map[digest.Digest]bool
}

// note tells of a base image's layers.
func (a *applier) note(b image.Base) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		a.known = map[digest.Digest]map[digest.Digest]bool{}
	}
	for _, l := range b.Layers {
		if a.known[l.DiffID] == nil {
			a.known[l.DiffID] = map[digest.Digest]bool{}
		}
		a.known[l.DiffID][l.Chain] = true
	}
}

// Apply implements diff.Applier.
func (a *applier) Apply(ctx context.Context, d v1.Descriptor, mounts []mount.Mount, opts ...diff.ApplyOpt) (v1.Descriptor, error) {
	diffID := digest.Digest(d.Annotations[labels.LabelUncompressed])
	if dir := a.unpacked(diffID); dir != "" {
		if to := emptyUpper(mounts); to != "" && image.LinkTree(ctx, dir, to) == nil {
			return v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: diffID, Size: d.Size}, nil
		} else if to != "" {
			if err := empty(to); err != nil {
				return v1.Descriptor{}, err
			}
		}
	}
	return a.Applier.Apply(ctx, d, mounts, opts...)
}

// unpacked gives the layer's directory in the image store, if there is no doubt.
func (a *applier) unpacked(diffID digest.Digest) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := ""
	for chain := range a.known[diffID] {
		dir, err := a.images.Unpacked(diffID, chain)
		if err != nil || dir == "" || found != "" && found != dir {
			return ""
		}
		found = dir
	}
	return found
}

// emptyUpper is the directory that a fresh snapshot is written to.
func emptyUpper(mounts []mount.Mount) string {
	if len(mounts) != 1 {
		return ""
	}
	m, dir := mounts[0], ""
	if m.Type == "bind" {
		dir = m.Source
	}
	for _, o := range m.Options {
		if upper, ok := strings.CutPrefix(o, "upperdir="); ok {
			dir = upper
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return ""
	}
	return dir
}

// empty removes everything below dir.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err == nil {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return err
}
