package image

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// source gives a blob's content from offset on.
type source func(ctx context.Context, offset int64) (io.ReadCloser, error)

func (s *Store) blobPath(d digest.Digest) string {
	return filepath.Join(s.dir, "blobs", d.Algorithm().String(), d.Encoded())
}

// hasBlob says whether a blob is there, whole. The size is checked because a power
// failure may leave an empty file under the right name.
func (s *Store) hasBlob(d v1.Descriptor) bool {
	st, err := os.Stat(s.blobPath(d.Digest))
	return err == nil && st.Size() == d.Size
}

// putBlob stores a blob unless it is there. What a killed process has left of it is
// taken up; processes that want the same one wait for the first. meter counts bytes.
func (s *Store) putBlob(ctx context.Context, d v1.Descriptor, from source, m *meter) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("bad digest %q: %w", d.Digest, err)
	}
	if d.Size < 0 || d.Size > s.Limits.Bytes {
		return fmt.Errorf("%w: blob %s has the size %d", ErrHostile, d.Digest, d.Size)
	}
	if s.hasBlob(d) {
		return nil
	}
	lock, err := lockFile(ctx, filepath.Join(s.dir, "locks", "blob-"+d.Digest.Encoded()), true)
	if err != nil {
		return err
	}
	defer lock.Close()
	if s.hasBlob(d) {
		return nil
	}
	name := filepath.Join(s.dir, "partial", layerName(d.Digest))
	err = s.download(ctx, name, d, from, m)
	var stale *staleError
	if errors.As(err, &stale) && stale.kept > 0 {
		err = s.download(ctx, name, d, from, m) // without what a crash had spoilt
	}
	if err != nil {
		return err
	}
	final := s.blobPath(d.Digest)
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		return err
	}
	return os.Rename(name, final)
}

// staleError tells that a blob's content is not what its digest says; kept is how
// much of it was there before.
type staleError struct {
	digest digest.Digest
	kept   int64
}

func (e *staleError) Error() string {
	return fmt.Sprintf("the content does not match the digest %s", e.digest)
}

// download completes the file name, which is removed if it turns out wrong.
func (s *Store) download(ctx context.Context, name string, d v1.Descriptor, from source, m *meter) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot store blob: %w", err)
	}
	defer f.Close()
	sum := d.Digest.Algorithm().Hash()
	kept, err := rehash(f, sum, d.Size)
	if err != nil {
		return fmt.Errorf("cannot store blob: %w", err)
	}
	m.add(kept)
	if kept < d.Size {
		if err := appendFrom(ctx, f, sum, d.Size, kept, from, m); err != nil {
			return err
		}
	}
	if got := digest.NewDigest(d.Digest.Algorithm(), sum); got != d.Digest {
		m.add(-d.Size)
		return errors.Join(&staleError{d.Digest, kept}, os.Remove(name))
	}
	return nil
}

// rehash reads what is there already, at most size bytes.
func rehash(f *os.File, sum hash.Hash, size int64) (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if st.Size() > size {
		return 0, f.Truncate(0)
	}
	return io.Copy(sum, f)
}

func appendFrom(ctx context.Context, f *os.File, sum hash.Hash, size, kept int64, from source, m *meter) error {
	body, err := from(ctx, kept)
	if err != nil {
		return err
	}
	defer body.Close()
	left := size - kept
	n, err := io.CopyBuffer(io.MultiWriter(f, sum, m), struct{ io.Reader }{&bounded{ctx: ctx, r: body, left: left}}, make([]byte, 256<<10))
	if err == nil && n < left {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("cannot fetch blob: %w", err)
	}
	return nil
}

// putBytes stores a small blob that was made here.
func (s *Store) putBytes(ctx context.Context, mediaType string, data []byte) (v1.Descriptor, error) {
	d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return d, s.putBlob(ctx, d, bytesSource(data), nil)
}

// dropBlob forgets a blob whose content turned out to be wrong.
func (s *Store) dropBlob(d digest.Digest) error {
	err := os.Remove(s.blobPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func fileSource(name string) source {
	return skipping(func(context.Context, int64) (io.ReadCloser, error) { return os.Open(name) })
}
