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
	return c.Store.peerOf(ctx, c.Runtime, i.ID, ref, c.serviceOf(i), c.userNSOwner(i))
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
