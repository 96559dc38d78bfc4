package external

import (
	"context"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// First is a container's first process.
type First struct {
	Pid       int
	StartTime uint64
	// UIDs and GIDs are the mappings of its user namespace, nil in the host's.
	UIDs, GIDs []specs.LinuxIDMapping
}

// First finds the first process of a container that lives where the host sees it.
// Errors: runtime.ErrNotFound, runtime.ErrNotRunning.
func (r *Runtime) First(ctx context.Context, id string) (First, error) {
	c, err := r.live(ctx, id, 0)
	if err != nil {
		return First{}, err
	}
	defer c.Close()
	if c.program.gvisor() {
		return First{}, fmt.Errorf("the files of container %s are inside its sandbox", id)
	}
	f := First{Pid: c.Pid, StartTime: c.StartTime}
	if c.UserNS {
		f.UIDs, f.GIDs = c.UIDs, c.GIDs
	}
	return f, nil
}
