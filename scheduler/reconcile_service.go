package scheduler

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// service plans one service of the file.
func (p *planner) service(name string) {
	sw, wished := p.want.Services[name]
	if !wished {
		p.keepAlive(name, ServiceWish{})
		return
	}
	before := len(p.plan.Ops)
	switch sw.Goal {
	case GoalStop:
		p.stopAll(name, sw, "asked to stop")
	case GoalRemove:
		p.removeAll(name, sw, "asked to be removed")
	default:
		p.converge(name, sw)
	}
	s := p.plan.Services[name]
	s.Done = len(p.plan.Ops) == before && !p.seen.busy(name) && s.Waiting == "" && s.Failed == ""
	p.plan.Services[name] = s
}

// converge plans the replicas of a service that is wished to exist.
func (p *planner) converge(name string, sw ServiceWish) {
	after := p.objectOps(name)
	keep, surges := p.scaleDown(name, sw)
	ready := p.gate(name, sw)
	hooks := p.prepare(name, sw, keep, ready)
	timed, create := p.scheduled(name), hooks
	if timed {
		create = p.prepare(name, sw, keep, false) // to be started when it is due
	}
	roll := p.newRollout(name, sw, keep, surges)
	defer roll.report(keep)
	used := map[int]bool{}
	for _, r := range keep {
		used[r.Number] = true
		if cause := p.stale(r, sw); cause != "" {
			if ready && !(timed && r.live()) { // a run that is under way ends as it began
				roll.next(r, cause, after, create)
			} else {
				p.tend(r)
			}
			continue
		}
		p.settle(r, surges[r.ID])
		after := append(slices.Clone(after), p.refresh(r, sw, after)...)
		if timed {
			p.timed(r, sw, hooks, after)
		} else {
			p.run(r, sw, hooks, after)
		}
	}
	svc := p.want.Stack.Services[name]
	for n, missing := 1, sw.Scale-len(keep); missing > 0; n++ {
		if used[n] {
			continue
		}
		missing--
		target := containerName(p.want.Stack.Name, svc, n)
		id := p.op(Op{Kind: OpCreate, Target: target, Service: name, Number: n, Cause: "replica " + strconv.Itoa(n) + " is missing", After: after})
		if sw.Goal == GoalRun && create.started(n, nil, []string{id}) {
			p.op(Op{Kind: OpStart, Target: target, Service: name, Number: n, Cause: "wanted running", After: []string{id}})
		}
	}
}

// scaleDown removes what exceeds the scale, stale and doubled ones first, and
// returns the replicas that stay, and those that are to take the place of one.
func (p *planner) scaleDown(name string, sw ServiceWish) ([]*Instance, map[string]*Instance) {
	all, surges := splitSurges(p.seen.replicas(name))
	live := p.trim(name, sw, all)
	for _, r := range p.seen.replicas(name) {
		surge := surges[r.ID]
		if surge == nil {
			continue
		}
		if stays := slices.Contains(live, r); surge.Discard || !stays {
			p.remove(surge, "the replica whose place it was to take goes", nil)
			delete(surges, r.ID)
		}
	}
	return live, surges
}

// settle ends what a rollout left of a fresh replica: a surge beside it that nobody
// needs, or the name it had as one.
func (p *planner) settle(r, surge *Instance) {
	if surge != nil {
		p.remove(surge, "the replica whose place it was to take is up to date", nil)
	}
	if r.Becomes != "" {
		p.promote(r, nil)
	}
}

// trim is scaleDown for replicas that are to take nobody's place.
func (p *planner) trim(name string, sw ServiceWish, all []*Instance) []*Instance {
	var live []*Instance
	numbers := map[int]*Instance{}
	for _, r := range all {
		if r.Discard {
			p.remove(r, "asked to be removed", nil)
			continue
		}
		if old := numbers[r.Number]; old != nil {
			p.remove(old, "replaced", nil) // a crash came between the two halves of a replacement
			live = slices.DeleteFunc(live, func(i *Instance) bool { return i == old })
		}
		numbers[r.Number] = r
		live = append(live, r)
	}
	surplus := len(live) - sw.Scale
	if surplus <= 0 {
		return live
	}
	victims := slices.Clone(live)
	slices.SortStableFunc(victims, func(a, b *Instance) int {
		sa, sb := p.stale(a, sw) != "", p.stale(b, sw) != ""
		if sa != sb {
			if sa {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Number, a.Number)
	})
	for _, v := range victims[:surplus] {
		p.remove(v, fmt.Sprintf("scale is %d", sw.Scale), nil)
		live = slices.DeleteFunc(live, func(i *Instance) bool { return i == v })
	}
	return live
}

// causeRetried is the cause of what retried asks for.
const causeRetried = "it did not get well, and up asks again"

// stale returns why r must be replaced, or "".
func (p *planner) stale(r *Instance, sw ServiceWish) string {
	switch digest, resolved := p.seen.Digests[r.Service]; {
	case r.CreatedSeq < sw.Recreate:
		return "asked to be recreated"
	case sw.NoRecreate:
		return ""
	case p.outdated(r, sw) && r.Recreate != p.want.Recreates[r.Service]:
		return causeConfiguration
	case resolved && digest != "" && r.Digest != digest:
		return "its image changed"
	case p.sourcesChanged(r):
		return "an image that it mounts changed"
	case p.strayed(r):
		return "who it shares namespaces with runs in another user namespace by now"
	case p.retried(r, sw):
		return causeRetried
	}
	return ""
}

// outdated reports whether r has not the configuration that it is to have.
func (p *planner) outdated(r *Instance, sw ServiceWish) bool {
	return !sw.NoRecreate && r.Hash != p.want.Hashes[r.Service] && r.Hash != sw.Hash
}

// refresh plans the update of a replica that is not stale, and returns what a start
// waits for.
func (p *planner) refresh(r *Instance, sw ServiceWish, after []string) []string {
	if !p.outdated(r, sw) || r.State == StateStopping {
		return nil
	}
	return []string{p.op(Op{Kind: OpUpdate, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number,
		Cause: causeSettings, After: after})}
}

// sourcesChanged reports whether another image is mounted by now, where a command
// since has looked.
func (p *planner) sourcesChanged(r *Instance) bool {
	now, looked := p.seen.Sources[r.Service]
	return looked && !maps.Equal(r.Sources, now)
}
