package scheduler

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"stack/runtime"
)

// Foresee is the whole way from world to wish, in order, if every operation
// succeeds: each started container is healthy, or completes where others wait for
// that. Reconcile plans only what the world as it is lets it see. It is pure.
func Foresee(want Want, seen Observed, now time.Time) Plan {
	want.timeless = true
	m := newModel(want, seen, now)
	var out Plan
	told := map[string]Op{} // as first planned: with what it waits for
	for round := 0; ; round++ {
		p := Reconcile(want, m.seen, m.now)
		if round == 0 {
			out.Warnings = p.Warnings
		}
		for _, op := range p.Ops {
			if _, ok := told[op.ID]; !ok {
				told[op.ID] = op
			}
		}
		begin := slices.DeleteFunc(p.Ops, func(op Op) bool { return len(op.After) > 0 })
		if out.Services = p.Services; len(begin) == 0 && waits(p) && round < mostRounds {
			m.now = m.now.Add(p.RequeueAfter)
			continue
		}
		if len(begin) == 0 || round >= mostRounds {
			return out
		}
		for _, op := range begin {
			m.apply(op)
			op.After, op.Cause = told[op.ID].After, told[op.ID].Cause
			delete(told, op.ID)
			out.Ops = append(out.Ops, op)
		}
	}
}

// waits reports whether time alone lets a service go on.
func waits(p Plan) bool {
	for _, s := range p.Services {
		if s.Waiting != "" && p.RequeueAfter > 0 {
			return true
		}
	}
	return false
}

// mostRounds bounds a plan that does not converge, which would be a mistake of ours.
const mostRounds = 10_000

// model is a world in which every operation succeeds at once.
type model struct {
	want      Want
	seen      Observed
	now       time.Time
	next      int
	completes map[string]bool // services that others wait for to complete
}

func newModel(want Want, seen Observed, now time.Time) *model {
	m := &model{want: want, seen: seen, now: now, completes: map[string]bool{}}
	m.seen.Networks, m.seen.Volumes = clone(seen.Networks), clone(seen.Volumes)
	m.seen.Digests, m.seen.Sources = clone(seen.Digests), clone(seen.Sources)
	m.seen.InFlight, m.seen.Failed, m.seen.Instances = nil, nil, nil
	m.seen.Updates = map[string]Update{}
	for name, u := range seen.Updates {
		m.seen.Updates[name] = Update{Sequence: u.Sequence} // nothing fails here
	}
	for _, i := range seen.Instances {
		c := *i
		if c.State == StateRunning {
			c.LiveSeq = want.Sequence
		}
		m.seen.Instances = append(m.seen.Instances, &c)
	}
	for _, name := range want.Graph.Order() {
		for _, e := range want.Graph.Needs(name) {
			m.completes[e.Service] = m.completes[e.Service] || e.Condition == ConditionCompleted
		}
	}
	return m
}

// clone is maps.Clone that makes a map of nil.
func clone[V any](in map[string]V) map[string]V {
	if in == nil {
		return map[string]V{}
	}
	return maps.Clone(in)
}

// apply does to the model what the executor would do to the machine.
func (m *model) apply(op Op) {
	m.now = m.now.Add(time.Millisecond)
	switch op.Kind {
	case OpNetwork, OpNetworkAlter, OpNetworkRemove, OpVolume, OpVolumeRemove:
		m.object(op)
	case OpImage:
		m.seen.Digests[op.Service] = ""
	case OpCreate, OpReplace:
		m.drop(op.Instance)
		m.add(op, &Instance{Number: op.Number, Hash: m.want.Hashes[op.Service],
			Recreate: m.want.Recreates[op.Service], Digest: m.seen.Digests[op.Service], Sources: m.seen.Sources[op.Service], Replaces: op.Kind == OpReplace})
	case OpSurge:
		m.add(op, &Instance{Number: op.Number, Hash: m.want.Hashes[op.Service], Recreate: m.want.Recreates[op.Service],
			Digest: m.seen.Digests[op.Service], Sources: m.seen.Sources[op.Service], Replaces: true,
			Takes: op.Instance, Becomes: m.find(op.Instance).Name})
	case OpHook:
		at := slices.IndexFunc(m.seen.Instances, func(i *Instance) bool {
			return i.Service == op.Service && i.Number == op.Number && !i.OneOff
		})
		replica := m.seen.Instances[at]
		m.add(op, &Instance{OneOff: true, Hook: &HookRef{Step: op.Hook.Step, Replica: replica.ID, Name: replica.Name},
			WantStart: m.want.Sequence})
	case OpRemove:
		m.drop(op.Instance)
	default:
		if i := m.find(op.Instance); i != nil {
			m.change(i, op.Kind)
		}
	}
}

// object makes or removes a network or volume.
func (m *model) object(op Op) {
	hashes, declared := m.seen.Networks, m.want.Networks
	if op.Kind == OpVolume || op.Kind == OpVolumeRemove {
		hashes, declared = m.seen.Volumes, map[string]Object{}
		for _, o := range m.want.Volumes {
			declared[o.Name] = o
		}
	}
	for key, o := range declared {
		if o.Name == op.Target {
			hashes[key] = o.Hash
		}
	}
	if op.Kind == OpNetworkRemove || op.Kind == OpVolumeRemove {
		p := &planner{want: m.want}
		maps.DeleteFunc(hashes, func(key, _ string) bool { return key == op.Target || p.networkName(key) == op.Target })
	}
}

func (m *model) add(op Op, i *Instance) {
	m.next++
	i.ID, i.Name, i.Service = "new-"+strconv.Itoa(m.next), op.Target, op.Service
	i.State, i.Created, i.CreatedSeq = StateCreated, m.now, m.want.Sequence
	m.seen.Instances = append(m.seen.Instances, i)
}

// change moves an instance on in its life.
func (m *model) change(i *Instance, kind Kind) {
	ended := runtime.Exit{At: m.now}
	switch kind {
	case OpPromote:
		i.Name, i.Takes, i.Becomes = i.Becomes, "", ""
	case OpUpdate:
		i.Hash = m.want.Hashes[i.Service]
	case OpStart:
		i.Obeyed(m.want.Sequence, m.now)
		i.Health = HealthHealthy
		if svc, ok := m.want.Stack.Services[i.Service]; ok {
			i.HostUserNS = HostUserNS(m.want.Stack.Project, svc)
		}
		if i.Hook != nil || m.completes[i.Service] {
			i.Exited(ended, RestartPolicy{}, m.now)
		}
	case OpStop:
		i.StopAsked(i.stopIsFinal() || m.want.Services[i.Service].Goal == GoalStop, m.want.Sequence, m.now)
		i.Exited(ended, RestartPolicy{}, m.now)
	case OpPause, OpUnpause:
		i.PauseChanged(kind == OpPause)
	}
}

func (m *model) find(id string) *Instance {
	at := slices.IndexFunc(m.seen.Instances, func(i *Instance) bool { return i.ID == id })
	if at < 0 {
		return nil
	}
	return m.seen.Instances[at]
}

func (m *model) drop(id string) {
	m.seen.Instances = slices.DeleteFunc(m.seen.Instances, func(i *Instance) bool { return i.ID == id })
}
