package scheduler

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// strayed reports whether r ran in another user namespace than the one whose
// namespaces it shares does by now: its files would be owned by strangers there.
func (p *planner) strayed(r *Instance) bool {
	svc, ok := p.want.Stack.Services[r.Service]
	if !ok || r.Started.IsZero() || ownHostUserNS(svc) != "" {
		return false
	}
	for _, ref := range joined(svc) {
		name, isService := strings.CutPrefix(ref, types.ServicePrefix)
		if !isService {
			continue
		}
		owner := p.first(name)
		if owner != nil && owner.State == StateRunning && owner.HostUserNS != r.HostUserNS {
			return true
		}
	}
	return false
}

// first is the lowest replica of a service: the one that others join.
func (p *planner) first(service string) *Instance {
	var out *Instance
	for _, i := range p.seen.replicas(service) {
		if out == nil || i.Number < out.Number {
			out = i
		}
	}
	return out
}
