package external

import (
	"context"
	"fmt"
	"os"

	"stack/runtime/statedir"
)

// home is a container's directory, open. Its lock is exclusive to make or delete the
// container, shared to act on it.
type home struct{ *statedir.Dir }

func (r *Runtime) root() statedir.Root { return statedir.Root(r.Root) }

func (r *Runtime) claim(ctx context.Context, id string) (*home, error) {
	return homeOf(r.root().Claim(ctx, id))
}

// open opens an existing container's directory without a lock.
func (r *Runtime) open(id string) (*home, error) { return homeOf(r.root().Open(id)) }

func (r *Runtime) lock(ctx context.Context, id string, how int) (*home, error) {
	return homeOf(r.root().Lock(ctx, id, how))
}

func homeOf(d *statedir.Dir, err error) (*home, error) {
	if err != nil {
		return nil, err
	}
	return &home{d}, nil
}

func (h *home) mark(name string) error {
	if err := os.WriteFile(h.Name(name), nil, 0o600); err != nil {
		return fmt.Errorf("cannot record that container %s is %s: %w", h.ID, name, err)
	}
	return nil
}

// read returns the record, nil when its writer died before the first.
func (h *home) read() (*record, error) {
	b, err := h.ReadRecord(recordName)
	if b == nil || err != nil {
		return nil, err
	}
	return parseRecord(b)
}

func (h *home) write(rec *record) error { return h.WriteJSON(recordName, rec) }
