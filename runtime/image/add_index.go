package image

import (
	"context"
	"errors"
	"io"
	"io/fs"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// indexOf gives what a layout has under a name, if that is an index and everything
// that it leads to is there: docker saves parts.
func indexOf(from files, d v1.Descriptor) (*v1.Descriptor, error) {
	b, err := readBranch(d, func(d v1.Descriptor) ([]byte, error) { return readBlob(from, d.Digest) })
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b.below) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, d := range b.allBlobs() {
		name, err := blobName(d.Digest)
		if err != nil {
			return nil, err
		}
		if there, err := exists(from, name); err != nil || !there {
			return nil, err
		}
	}
	data, err := readBlob(from, d.Digest)
	return &v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: int64(len(data))}, err
}

// copyIndex copies what an image is part of.
func (s *Store) copyIndex(ctx context.Context, c contents) error {
	if c.index == nil {
		return nil
	}
	_, err := walkBranch(*c.index, func(d v1.Descriptor) ([]byte, error) {
		data, err := readBlob(c.from, d.Digest)
		if err == nil {
			_, err = s.putBytes(ctx, d.MediaType, data)
		}
		return data, err
	}, func(d v1.Descriptor) error {
		name, err := blobName(d.Digest)
		if err != nil {
			return err
		}
		open := func(context.Context, int64) (io.ReadCloser, error) { return c.from.open(name) }
		return s.putBlob(ctx, d, skipping(open), nil)
	})
	return err
}
