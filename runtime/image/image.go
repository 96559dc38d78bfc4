package image

import (
	"context"
	"errors"
	"io"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/runtime"
)

// ErrNotFound is returned for a reference that leads to no image.
var ErrNotFound = errors.New("no such image")

// Image is an image whose layers are on this machine.
type Image struct {
	// Ref is the reference as written in the stack file.
	Ref string
	// Digest identifies the content ("sha256:…"); part of what makes a replica
	// stale. For rootfs:PATH it is derived from the path alone, since the
	// directory's content may change at will.
	Digest string
	// Config is the image's own: Env, Entrypoint, Cmd, User, WorkingDir, Volumes,
	// ExposedPorts, Labels, StopSignal.
	Config v1.ImageConfig
	// Healthcheck comes from Docker's extension of the configuration; nil if absent.
	Healthcheck *Healthcheck
	// Layers are read-only directories, the topmost first.
	Layers []string
	// Overlays are host trees shown copy-on-write inside (rootfs:/ only), without
	// Upper and Work.
	Overlays []runtime.Overlay
}

// Healthcheck is Docker's HEALTHCHECK instruction; durations in nanoseconds.
type Healthcheck struct {
	Test          []string
	Interval      int64 `json:",omitempty"`
	Timeout       int64 `json:",omitempty"`
	StartPeriod   int64 `json:",omitempty"`
	StartInterval int64 `json:",omitempty"`
	Retries       int   `json:",omitempty"`
}

// Resolver turns references into images.
type Resolver interface {
	// Resolve returns the image for a platform, OS/ARCH[/VARIANT] or "" for this
	// machine's, unpacking its layers if need be. Nothing is fetched: Pull does.
	// Errors: ErrNotFound, wrapped.
	Resolve(ctx context.Context, ref, platform string) (Image, error)
	// Keep makes sure that images are whole still, and keeps all from being removed
	// until closed. Who has recorded before that a container needs them (InUse) keeps
	// them for as long as the record stays. Errors: ErrNotFound, wrapped.
	Keep(ctx context.Context, imgs ...Image) (io.Closer, error)
	// CopyOut copies the tree at path inside the image, with owners, modes and
	// xattrs as the image has them, into dir, which exists. It reports false when
	// the image has no directory there. Links in the image are never followed out
	// of it.
	CopyOut(ctx context.Context, img Image, path, dir string) (bool, error)
}
