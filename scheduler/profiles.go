package scheduler

import (
	"maps"
	"slices"

	"stack/spec"
)

// The recorded stack knows the services behind profiles that were not active when
// it came: they are disabled, not orphans. A command without a file enables those
// that it names, as naming one does in Compose.

// awaken returns st with the disabled services enabled that are named or match one
// of the profiles, and with what they need: st itself when there are none.
func awaken(st *spec.Stack, named, profiles []string) *spec.Stack {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(st.DisabledServices)) {
		svc := st.DisabledServices[name]
		if slices.Contains(named, name) || len(profiles) > 0 && svc.HasProfile(profiles) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return st
	}
	p := *st.Project
	p.Services, p.DisabledServices = maps.Clone(p.Services), maps.Clone(p.DisabledServices)
	for len(found) > 0 {
		name := found[0]
		found = found[1:]
		svc, ok := p.DisabledServices[name]
		if !ok {
			continue
		}
		p.Services[name] = svc
		delete(p.DisabledServices, name)
		for _, e := range serviceEdges(svc) {
			found = append(found, e.Service)
		}
	}
	out := *st
	out.Project = &p
	return &out
}

// asleep reports whether the file names a service, but behind an inactive profile.
func (p *planner) asleep(service string) bool {
	_, ok := p.want.Stack.DisabledServices[service]
	return ok
}
