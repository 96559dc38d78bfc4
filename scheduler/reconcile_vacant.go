package scheduler

import (
	"maps"
	"slices"
)

// vacantNetworks are the made networks that no instance is on, key to name.
func vacantNetworks(made map[string]madeNetwork, all []*Instance) map[string]string {
	out := map[string]string{}
	for key, n := range made {
		out[key] = n.Name
	}
	for _, i := range all {
		for _, e := range i.Endpoints {
			maps.DeleteFunc(out, func(key, _ string) bool { return made[key].ID == e.Network })
		}
	}
	return out
}

// vacated removes the networks that the file no longer has, with the orphans that
// were on them: when nobody is.
func (p *planner) vacated() {
	if !p.want.RemoveOrphans {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(p.seen.Vacant)) {
		if _, declared := p.want.Stack.Networks[key]; !declared && p.want.Networks[key].Name == "" {
			p.op(Op{Kind: OpNetworkRemove, Target: p.seen.Vacant[key], Cause: "network " + key + " is not in the file"})
		}
	}
}
