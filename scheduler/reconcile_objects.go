package scheduler

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
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
			p.op(Op{Kind: OpVolume, Target: v.Name, Cause: "declared", After: p.underWay(OpVolumeRemove, v.Name)})
		case hash == v.Hash || hash == "":
		case slices.Contains(p.want.RecreateVolumes, v.Name):
			p.recreateVolume(v)
		default:
			p.plan.Warnings = append(p.plan.Warnings, fmt.Sprintf("volume %s was made from another configuration; it is kept; up --yes makes it anew", v.Name))
		}
	}
}

// recreateVolume makes a volume anew, without what it held. Who mounts it goes first,
// and is planned from then on as if it were gone.
func (p *planner) recreateVolume(v Object) {
	cause := "volume " + v.Name + " is made anew"
	var after []string
	p.seen.Instances = slices.DeleteFunc(slices.Clone(p.seen.Instances), func(r *Instance) bool {
		uses := p.mounts(r, v)
		if uses {
			after = append(after, p.remove(r, cause, nil))
		}
		return uses
	})
	gone := p.op(Op{Kind: OpVolumeRemove, Target: v.Name, Cause: "its configuration changed", After: after, Destructive: true})
	p.op(Op{Kind: OpVolume, Target: v.Name, Cause: "declared", After: []string{gone}})
}

// mounts reports whether an instance uses a volume, or will once it is started.
func (p *planner) mounts(r *Instance, v Object) bool {
	return slices.Contains(r.Volumes, v.Name) ||
		slices.ContainsFunc(p.want.Stack.Services[r.Service].Volumes, func(m types.ServiceVolumeConfig) bool {
			return m.Type == types.VolumeTypeVolume && m.Source == v.Key
		})
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
