package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"go.etcd.io/bbolt"
)

// ingests is containerd's local store with another way in: it does not wait until a
// blob is on the disk. What a power failure spoils is a cache, and the image store
// waits no more; for large contexts it was most of the time of a build.
type ingests struct {
	content.Store
	dir string // the store's
}

// noSync makes a database not wait for the disk either. One that does not open any
// more is begun anew.
func noSync(o *bbolt.Options) error {
	o.NoSync = true
	return nil
}

func (s *ingests) path(d digest.Digest) string {
	return filepath.Join(s.dir, "blobs", d.Algorithm().String(), d.Encoded())
}

// Writer implements content.Ingester. Nothing is resumed: what was half written goes
// with the process, or with the next one's start.
func (s *ingests) Writer(_ context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var o content.WriterOpts
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	algorithm := digest.Canonical
	if d := o.Desc.Digest; d != "" {
		if err := d.Validate(); err != nil {
			return nil, err
		}
		if _, err := os.Stat(s.path(d)); err == nil {
			return nil, fmt.Errorf("content %v: %w", d, errdefs.ErrAlreadyExists)
		}
		algorithm = d.Algorithm()
	}
	f, err := os.CreateTemp("", "blob-") // TMPDIR is the builder's: see prepareTemp
	if err != nil {
		return nil, fmt.Errorf("cannot store blob: %w", err)
	}
	now := time.Now()
	return &ingest{store: s, f: f, sum: algorithm.Digester(), status: content.Status{
		Ref: o.Ref, Total: o.Desc.Size, Expected: o.Desc.Digest, StartedAt: now, UpdatedAt: now,
	}}, nil
}

// Abort implements content.IngestManager.
func (s *ingests) Abort(context.Context, string) error { return nil }

// ingest is one blob on its way in.
type ingest struct {
	store  *ingests
	f      *os.File // nil once closed
	sum    digest.Digester
	status content.Status
}

// Write implements io.Writer.
func (w *ingest) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	w.sum.Hash().Write(p[:n])
	w.status.Offset += int64(n)
	return n, err
}

// Digest implements content.Writer.
func (w *ingest) Digest() digest.Digest { return w.sum.Digest() }

// Status implements content.Writer.
func (w *ingest) Status() (content.Status, error) { return w.status, nil }

// Truncate implements content.Writer.
func (w *ingest) Truncate(size int64) error {
	if size != 0 {
		return errors.New("a blob on its way in can only be begun anew")
	}
	if _, err := w.f.Seek(0, 0); err != nil {
		return err
	}
	w.status.Offset = 0
	w.sum.Hash().Reset()
	return w.f.Truncate(0)
}

// Commit implements content.Writer.
func (w *ingest) Commit(_ context.Context, size int64, expected digest.Digest, _ ...content.Opt) error {
	defer w.Close()
	if w.f == nil {
		return fmt.Errorf("cannot commit a closed blob: %w", errdefs.ErrFailedPrecondition)
	}
	got := w.Digest()
	if size > 0 && size != w.status.Offset || expected != "" && expected != got {
		return fmt.Errorf("a blob has %d bytes and the digest %s, not %d and %s: %w", w.status.Offset, got, size, expected, errdefs.ErrFailedPrecondition)
	}
	final := w.store.path(got)
	if _, err := os.Stat(final); err == nil {
		return fmt.Errorf("content %v: %w", got, errdefs.ErrAlreadyExists)
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		return err
	}
	if err := w.f.Chmod(0o444); err != nil {
		return err
	}
	return os.Rename(w.f.Name(), final)
}

// Close implements io.Closer. What was not committed is gone.
func (w *ingest) Close() error {
	if w.f == nil {
		return nil
	}
	err := w.f.Close()
	if rerr := os.Remove(w.f.Name()); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	w.f = nil
	return err
}
