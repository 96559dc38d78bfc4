package scheduler

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

func (p *planner) networks() {
	for _, key := range slices.Sorted(maps.Keys(p.want.Networks)) {
		n := p.want.Networks[key]
		hash, exists := p.seen.Networks[key]
		switch {
		case !exists:
			p.op(Op{Kind: OpNetwork, Target: n.Name, Cause: "declared"})
		case hash != n.Hash && !n.External:
			p.op(Op{Kind: OpNetworkAlter, Target: n.Name, Cause: "its configuration changed"})
		}
	}
}

func (p *planner) volumes() {
	for _, key := range slices.Sorted(maps.Keys(p.want.Volumes)) {
		v := p.want.Volumes[key]
		if v.External {
			continue
		}
		hash, exists := p.seen.Volumes[v.Name]
		switch {
		case !exists:
			p.op(Op{Kind: OpVolume, Target: v.Name, Cause: "declared"})
		case hash != v.Hash && hash != "":
			p.plan.Warnings = append(p.plan.Warnings, fmt.Sprintf("volume %s was made from another configuration; it is kept", v.Name))
		}
	}
}

// objectOps returns the pending operations that a service's creation waits for.
func (p *planner) objectOps(service string) []string {
	svc := p.want.Stack.Services[service]
	var after []string
	add := func(kind Kind, name string) {
		id := string(kind) + " " + name
		if p.ops[id] {
			after = append(after, id)
		}
	}
	for _, key := range attachments(svc) {
		add(OpNetwork, p.want.Networks[key].Name)
		add(OpNetworkAlter, p.want.Networks[key].Name)
	}
	for _, v := range svc.Volumes {
		add(OpVolume, p.want.Volumes[v.Source].Name)
	}
	if _, ok := p.seen.Digests[service]; !ok {
		after = append(after, p.op(Op{Kind: OpImage, Target: service, Service: service, Cause: cmp.Or(svc.Image, "built") + " is not resolved"}))
	}
	return after
}
