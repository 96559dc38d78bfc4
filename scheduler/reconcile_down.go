package scheduler

import (
	"maps"
	"slices"
)

// down plans the end of the project: replicas in reverse dependency order, then
// networks, then volumes if asked.
func (p *planner) down() {
	known := map[string]bool{}
	for _, name := range p.want.Graph.Reverse() {
		known[name] = true
		p.removeAll(name, p.want.Services[name], "down")
	}
	goes := func(r *Instance) bool {
		return known[r.Service] || r.OneOff || p.want.RemoveOrphans && !p.asleep(r.Service)
	}
	for _, r := range p.seen.Instances {
		switch {
		case known[r.Service] && !r.OneOff:
		case goes(r):
			p.remove(r, "down", nil)
		default:
			p.tend(r)
		}
	}
	left := slices.ContainsFunc(p.seen.Instances, goes)
	var after []string
	if left || len(p.seen.InFlight) > 0 {
		for _, op := range p.plan.Ops {
			if op.Kind == OpRemove {
				after = append(after, op.ID)
			}
		}
		if len(after) == 0 {
			return // removals are under way
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.seen.Networks)) {
		p.op(Op{Kind: OpNetworkRemove, Target: p.networkName(key), Cause: "down", After: after})
	}
	if !p.want.RemoveVolumes {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.seen.Volumes)) {
		p.op(Op{Kind: OpVolumeRemove, Target: name, Cause: "down --volumes", After: after, Destructive: true})
	}
}

func (p *planner) networkName(key string) string {
	if n, ok := p.want.Stack.Networks[key]; ok && n.Name != "" {
		return n.Name
	}
	return p.want.Stack.Name + "_" + key
}
