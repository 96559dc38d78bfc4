package scheduler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// peer finds the running container behind service:X or container:X; called under mu.
func (c *Controller) peer(ctx context.Context, ref string) (Peer, error) {
	i := c.referenced(ref)
	if name, ok := strings.CutPrefix(ref, types.ContainerPrefix); ok && i == nil && c.Neighbour != nil {
		return c.Neighbour(ctx, name)
	}
	if i == nil || i.State != StateRunning && i.State != StatePaused {
		return Peer{}, fmt.Errorf("%s is not running", ref)
	}
	st, err := c.Runtime.State(ctx, i.ID)
	if err != nil {
		return Peer{}, fmt.Errorf("cannot join %s: %w", ref, err)
	}
	if st.Pid == 0 { // it has ended, which its record does not tell yet
		return Peer{}, fmt.Errorf("%s is not running", ref)
	}
	p := Peer{Pid: st.Pid, StartTime: st.StartTime}
	if c.serviceOf(i).Ipc != "none" {
		p.Shm = fmt.Sprintf("/proc/%d/root/dev/shm", st.Pid)
	}
	if st.UserNS {
		ids, err := c.Store.AllocateIDs()
		if err != nil {
			return Peer{}, err
		}
		p.UserNS, p.IDs = c.userNSOwner(i), &ids
	}
	return p, nil
}

// userNSOwner is the ID of the container whose user namespace i lives in: its own,
// or that of the one whose other namespaces it joined.
func (c *Controller) userNSOwner(i *Instance) string {
	for range c.instances { // chains have no cycles, but a bound costs nothing
		refs := joined(c.serviceOf(i))
		if len(refs) == 0 {
			break
		}
		next := c.referenced(refs[0])
		if next == nil {
			break
		}
		i = next
	}
	return i.ID
}

// referenced is the instance that service:X (its lowest replica) or container:X
// of this project names.
func (c *Controller) referenced(ref string) *Instance {
	if name, ok := strings.CutPrefix(ref, types.ContainerPrefix); ok {
		return c.find(name)
	}
	name, _ := strings.CutPrefix(ref, types.ServicePrefix)
	all := slices.SortedFunc(maps.Values(c.instances), func(a, b *Instance) int { return a.Number - b.Number })
	for _, i := range all {
		if i.Service == name && !i.OneOff {
			return i
		}
	}
	return nil
}
