package builder

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/runtime/image"
)

// blobs is the builder's content store, with the blobs of the image store beneath
// it, to be read only: base images are not copied.
type blobs struct {
	content.Store
	images *image.Store
}

// Info implements content.InfoProvider.
func (b *blobs) Info(ctx context.Context, d digest.Digest) (content.Info, error) {
	info, err := b.Store.Info(ctx, d)
	if !errdefs.IsNotFound(err) {
		return info, err
	}
	f, ferr := b.images.OpenBlob(d)
	if ferr != nil {
		return info, err
	}
	defer f.Close()
	st, ferr := f.Stat()
	if ferr != nil {
		return info, err
	}
	return content.Info{Digest: d, Size: st.Size(), CreatedAt: st.ModTime(), UpdatedAt: st.ModTime()}, nil
}

// Update forgets what is said of a blob that is not the builder's own.
func (b *blobs) Update(ctx context.Context, info content.Info, fields ...string) (content.Info, error) {
	got, err := b.Store.Update(ctx, info, fields...)
	if !errdefs.IsNotFound(err) {
		return got, err
	}
	return b.Info(ctx, info.Digest)
}

// ReaderAt implements content.Provider.
func (b *blobs) ReaderAt(ctx context.Context, d v1.Descriptor) (content.ReaderAt, error) {
	r, err := b.Store.ReaderAt(ctx, d)
	if !errdefs.IsNotFound(err) {
		return r, err
	}
	f, ferr := b.images.OpenBlob(d.Digest)
	if errors.Is(ferr, fs.ErrNotExist) {
		return nil, err
	}
	if ferr != nil {
		return nil, ferr
	}
	st, ferr := f.Stat()
	if ferr != nil {
		f.Close()
		return nil, ferr
	}
	return &blob{f, st.Size()}, nil
}

type blob struct {
	*os.File
	size int64
}

// Size implements content.ReaderAt.
func (b *blob) Size() int64 { return b.size }
