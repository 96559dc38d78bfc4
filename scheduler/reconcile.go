package scheduler

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Reconcile computes what separates the world from the wish. It is pure: no
// clock, no I/O, no mutation of its arguments. Applying its operations in any
// order that respects After, and planning again after each, converges.
func Reconcile(want Want, seen Observed, now time.Time) Plan {
	p := &planner{want: want, seen: seen, now: now, ops: map[string]bool{}}
	p.plan.Services = map[string]Status{}
	if want.Down {
		p.down()
		return p.plan
	}
	p.networks()
	p.volumes()
	for _, name := range want.Graph.Order() {
		p.service(name)
	}
	p.orphans()
	p.oneOffs()
	return p.plan
}

type planner struct {
	want Want
	seen Observed
	now  time.Time
	plan Plan
	ops  map[string]bool
}

// op adds an operation unless it is under way or has failed for good, and
// returns its ID.
func (p *planner) op(o Op) string {
	o.ID = string(o.Kind) + " " + o.Target
	if p.ops[o.ID] {
		return o.ID
	}
	p.ops[o.ID] = true
	if _, running := p.seen.InFlight[o.ID]; running {
		return o.ID
	}
	if o.Kind == OpStart || o.Kind == OpRemove || o.Kind == OpReplace {
		o.After = append(slices.Clone(o.After), p.workOn(o.Target)...)
	}
	if msg, failed := p.seen.Failed[o.ID]; failed {
		p.fail(o.Service, msg)
		return o.ID
	}
	p.plan.Ops = append(p.plan.Ops, o)
	return o.ID
}

// workOn lists what is under way with a container. What makes one, or takes it
// apart, must not meet another that does; only a stop may meet a start, whose hook
// may hang.
func (p *planner) workOn(target string) (under []string) {
	for _, kind := range []Kind{OpCleanUp, OpStart, OpStop, OpRemove, OpReplace} {
		id := string(kind) + " " + target
		if _, ok := p.seen.InFlight[id]; ok {
			under = append(under, id)
		}
	}
	return under
}

func (p *planner) fail(service, reason string) {
	s := p.plan.Services[service]
	if s.Failed == "" {
		s.Failed = reason
	}
	p.plan.Services[service] = s
}

func (p *planner) wait(service, reason string) {
	s := p.plan.Services[service]
	if s.Waiting == "" {
		s.Waiting = reason
	}
	p.plan.Services[service] = s
}

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
	keep := p.scaleDown(name, sw)
	ready := p.gate(name, sw)
	hooks := p.prepare(name, sw, keep, ready)
	used := map[int]bool{}
	for _, r := range keep {
		used[r.Number] = true
		if cause := p.stale(r, sw); cause != "" {
			if ready {
				p.replace(r, cause, after, hooks)
			}
			continue
		}
		p.run(r, sw, hooks, slices.Clone(after))
	}
	svc := p.want.Stack.Services[name]
	for n, missing := 1, sw.Scale-len(keep); missing > 0; n++ {
		if used[n] {
			continue
		}
		missing--
		target := containerName(p.want.Stack.Name, svc, n)
		id := p.op(Op{Kind: OpCreate, Target: target, Service: name, Number: n, Cause: "replica " + strconv.Itoa(n) + " is missing", After: after})
		if sw.Goal == GoalRun && hooks.started(n, nil, []string{id}) {
			p.op(Op{Kind: OpStart, Target: target, Service: name, Number: n, Cause: "wanted running", After: []string{id}})
		}
	}
}

// scaleDown removes what exceeds the scale, stale and doubled ones first, and
// returns the replicas that stay.
func (p *planner) scaleDown(name string, sw ServiceWish) []*Instance {
	all := p.seen.replicas(name)
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

// stale returns why r must be replaced, or "".
func (p *planner) stale(r *Instance, sw ServiceWish) string {
	switch digest, resolved := p.seen.Digests[r.Service]; {
	case r.CreatedSeq < sw.Recreate:
		return "asked to be recreated"
	case sw.NoRecreate:
		return ""
	case r.Hash != p.want.Hashes[r.Service] && r.Hash != sw.Hash:
		return "its configuration changed"
	case resolved && digest != "" && r.Digest != digest:
		return "its image changed"
	case p.sourcesChanged(r):
		return "an image that it mounts changed"
	}
	return ""
}

// sourcesChanged reports whether another image is mounted by now, where a command
// since has looked.
func (p *planner) sourcesChanged(r *Instance) bool {
	now, looked := p.seen.Sources[r.Service]
	return looked && !maps.Equal(r.Sources, now)
}

// run plans a fresh replica's way to running, paused or restarted.
func (p *planner) run(r *Instance, sw ServiceWish, hooks *preparation, after []string) {
	start := func(cause string, after []string) {
		p.op(Op{Kind: OpStart, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: cause, After: after})
	}
	switch r.State {
	case StateCreated, StateExited:
		switch {
		case r.FailedSeq > 0 && r.FailedSeq >= sw.Start && r.Error != "":
			p.fail(r.Service, fmt.Sprintf("container %s: %s", r.Name, r.Error))
		case !p.wantsStart(r, sw):
		case hooks.started(r.Number, r, after):
			start("wanted running", after)
		}
	case StateRestarting:
		if r.WantStopped {
			p.stop(r, "asked to stop", nil)
			return
		}
		if sw.Goal == GoalRun && r.reached() < sw.Start {
			start("wanted running", after)
			return
		}
		p.dueRestart(r)
	case StateRunning, StatePaused:
		if r.WantStopped {
			p.stop(r, "asked to stop", nil)
			return
		}
		if cause := p.restartCause(r); cause != "" && sw.Goal == GoalRun {
			stop := p.stop(r, cause, p.dependentsFirst(r.Service))
			start(cause, append([]string{stop}, after...))
			return
		}
		if r.HookError != "" {
			p.fail(r.Service, r.HookError)
		}
		p.pausing(r)
	case StateStopping:
		p.stop(r, "stopping", nil)
	}
}

// wantsStart reports whether a command newer than the last start, or than a
// person's stop, asks for the replica to run.
func (p *planner) wantsStart(r *Instance, sw ServiceWish) bool {
	if sw.Goal != GoalRun {
		return r.WantStart > r.StartedSeq
	}
	again := max(p.restartSeq(r), r.WantStart)
	return (r.reached() < sw.Start || r.StartedSeq < again) && !(r.Held && r.HeldSeq >= max(sw.Start, again))
}

// keepAlive plans what needs no wish: due restarts, asked pauses and removals.
func (p *planner) keepAlive(name string, sw ServiceWish) {
	for _, r := range p.seen.replicas(name) {
		p.tend(r)
	}
}

// tend plans what an instance needs by itself.
func (p *planner) tend(r *Instance) {
	switch {
	case r.Discard:
		p.remove(r, "asked to be removed", nil)
	case r.State == StateRestarting && r.WantStopped:
		p.stop(r, "asked to stop", nil)
	case r.State == StateRestarting:
		p.dueRestart(r)
	case r.State == StateStopping:
		p.stop(r, "stopping", nil)
	case r.live() && r.WantStopped:
		p.stop(r, "asked to stop", nil)
	case r.live():
		p.pausing(r)
	case r.WantStart > r.StartedSeq && r.FailedSeq < r.WantStart:
		p.op(Op{Kind: OpStart, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: "asked to start"})
	}
}

func (p *planner) dueRestart(r *Instance) {
	if wait := r.NextStart.Sub(p.now); wait > 0 {
		p.plan.requeue(wait)
		return
	}
	p.op(Op{Kind: OpStart, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: "restart policy after " + exitText(r)})
}

func exitText(r *Instance) string {
	if r.Exit == nil {
		return "an exit"
	}
	return "exit " + strconv.Itoa(r.Exit.Code)
}

func (p *planner) pausing(r *Instance) {
	switch {
	case r.WantPaused && r.State == StateRunning:
		p.op(Op{Kind: OpPause, Target: r.Name, Service: r.Service, Instance: r.ID, Cause: "asked to pause"})
	case !r.WantPaused && r.State == StatePaused:
		p.op(Op{Kind: OpUnpause, Target: r.Name, Service: r.Service, Instance: r.ID, Cause: "asked to go on"})
	}
}

// restartSeq is the newest command that restarts r: its service's, or that of a
// dependency declared with restart: true.
func (p *planner) restartSeq(r *Instance) uint64 {
	seq := p.want.Services[r.Service].Restart
	for _, e := range p.want.Graph.Needs(r.Service) {
		if !e.Restart {
			continue
		}
		seq = max(seq, p.want.Services[e.Service].Restart)
		for _, d := range p.seen.replicas(e.Service) {
			if d.Replaces {
				seq = max(seq, d.CreatedSeq)
			}
		}
	}
	return seq
}

// restartCause returns why a running replica must be stopped and started, or "".
func (p *planner) restartCause(r *Instance) string {
	if p.want.Services[r.Service].Restart > r.StartedSeq {
		return "asked to restart"
	}
	if p.restartSeq(r) > r.StartedSeq {
		return "a dependency was recreated"
	}
	for _, e := range p.want.Graph.Needs(r.Service) {
		if !e.Shares() {
			continue
		}
		for _, d := range p.seen.replicas(e.Service) {
			if d.State == StateRunning && d.Started.After(r.Started) {
				return "service " + e.Service + ", whose namespaces it shares, was restarted"
			}
			break
		}
	}
	return ""
}

// stop plans the end of a live replica and returns the operation's ID.
func (p *planner) stop(r *Instance, cause string, after []string) string {
	return p.op(Op{Kind: OpStop, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: cause, After: after})
}

// remove plans the removal of an instance, stopping it first.
func (p *planner) remove(r *Instance, cause string, after []string) string {
	if r.live() {
		after = []string{p.stop(r, cause, after)}
	}
	return p.op(Op{Kind: OpRemove, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: cause, After: after})
}

// replace plans a fresh replica in a stale one's place, stop first.
func (p *planner) replace(r *Instance, cause string, after []string, hooks *preparation) {
	if r.live() {
		after = append(slices.Clone(after), p.stop(r, cause, p.dependentsFirst(r.Service)))
	}
	id := p.op(Op{Kind: OpReplace, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: cause, After: after})
	if p.want.Services[r.Service].Goal == GoalRun && hooks.started(r.Number, nil, []string{id}) {
		p.op(Op{Kind: OpStart, Target: r.Name, Service: r.Service, Number: r.Number, Cause: cause, After: []string{id}})
	}
}

// dependentsFirst stops the running dependents that restart with service and
// returns the operations to wait for.
func (p *planner) dependentsFirst(service string) []string {
	var after []string
	for _, d := range p.want.Graph.Dependents(service) {
		if !d.Restart {
			continue
		}
		for _, r := range p.seen.replicas(d.Service) {
			if r.live() {
				after = append(after, p.stop(r, "its dependency "+service+" restarts", p.dependentsFirst(d.Service)))
			}
		}
	}
	return after
}

// stopAll stops the replicas of a service once those that depend on it and are
// stopping too have stopped.
func (p *planner) stopAll(name string, sw ServiceWish, cause string) {
	after := p.dependentsStopped(name)
	for _, r := range p.seen.replicas(name) {
		switch {
		case r.Discard:
			p.remove(r, "asked to be removed", after)
		case r.WantStart > r.HeldSeq: // started by itself since
			p.tend(r)
		case r.live() || r.State == StateRestarting:
			p.stop(r, cause, after)
		}
	}
}

func (p *planner) removeAll(name string, sw ServiceWish, cause string) {
	after := p.dependentsStopped(name)
	for _, r := range p.seen.replicas(name) {
		p.remove(r, cause, after)
	}
}

// dependentsStopped returns the stops that must come before a service's own:
// those of live dependents that are to stop as well.
func (p *planner) dependentsStopped(name string) []string {
	var after []string
	for _, d := range p.want.Graph.Dependents(name) {
		if !p.want.Down && p.want.Services[d.Service].Goal.has() {
			continue
		}
		if _, wished := p.want.Services[d.Service]; !wished && !p.want.Down {
			continue
		}
		for _, r := range p.seen.replicas(d.Service) {
			if r.live() {
				after = append(after, string(OpStop)+" "+r.Name)
			}
		}
	}
	return after
}
