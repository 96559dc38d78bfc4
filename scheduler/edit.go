package scheduler

import (
	"maps"
	"slices"
	"time"

	"stack/spec"
)

// edit applies a command to a wish and returns the new one with the services it
// is about. It is pure; the instances' own marks (held, paused, discarded) are the
// controller's to set.
func edit(w Wish, st *spec.Stack, g *Graph, cmd Command) (Wish, []string, error) {
	before := w.Stack
	w.Sequence++
	w.Halted = false
	w.Services = maps.Clone(w.Services)
	if w.Services == nil {
		w.Services = map[string]ServiceWish{}
	}
	w.Stack = st
	w.RemoveOrphans, w.IgnoreOrphans, w.RecreateVolumes = cmd.RemoveOrphans, cmd.IgnoreOrphans, cmd.RecreateVolumes
	e := &editor{w: w, g: g, cmd: cmd}
	for _, s := range cmd.Services {
		if _, ok := st.Services[s]; !ok && !slices.Contains(knownOrphans(w, st), s) {
			return Wish{}, nil, st.NoService(s)
		}
	}
	selected := cmd.Services
	if len(selected) == 0 && len(cmd.Containers) == 0 {
		selected = slices.Sorted(maps.Keys(st.Services))
	}
	switch cmd.Verb {
	case VerbUp, VerbCreate, VerbScale:
		selected = e.up(selected)
		if cmd.Verb == VerbUp {
			e.w.Live = cmd.Live
		}
	case VerbStart:
		selected = e.start(selected)
	case VerbRestart:
		e.each(selected, func(sw *ServiceWish) { sw.Restart, sw.Goal = e.w.Sequence, GoalRun })
	case VerbStop:
		e.each(selected, func(sw *ServiceWish) { sw.Goal = GoalStop })
	case VerbRebuilt:
		e.each(selected, func(sw *ServiceWish) { sw.NoRecreate = false })
	case VerbDown:
		e.down()
	case VerbRun:
		selected = e.dependencies(selected)
	}
	if e.err != nil {
		return Wish{}, nil, e.err
	}
	var err error
	e.w.Stack, err = carry(before, st, e.w.Services)
	return e.w, selected, err
}

type editor struct {
	w   Wish
	g   *Graph
	cmd Command

	err error // of a configuration that cannot be hashed
}

// configured notes that a service is to have the configuration of the file now.
func (e *editor) configured(service string, sw *ServiceWish) {
	if _, ok := e.w.Stack.Services[service]; !ok {
		return
	}
	h, err := e.w.Stack.Hash(service)
	if err != nil {
		e.err = err
	}
	sw.Hash = h
}

// knownOrphans are wished services that the file no longer has.
func knownOrphans(w Wish, st *spec.Stack) []string {
	var out []string
	for s := range w.Services {
		if _, ok := st.Services[s]; !ok {
			out = append(out, s)
		}
	}
	return out
}

func (e *editor) each(services []string, f func(*ServiceWish)) {
	for _, s := range services {
		sw, ok := e.w.Services[s]
		if !ok {
			sw.Scale = e.scale(s, nil)
		}
		sw.Grace = e.cmd.Timeout
		f(&sw)
		e.w.Services[s] = sw
	}
}

// up wishes the selected services and their dependencies to exist and, unless
// the command only creates, to run.
func (e *editor) up(selected []string) []string {
	named := selected
	if !e.cmd.NoDeps {
		selected = e.g.Closure(selected...)
	}
	create := e.cmd.Verb == VerbCreate || e.cmd.NoStart
	for _, s := range selected {
		sw, existed := e.w.Services[s]
		isNamed := slices.Contains(named, s)
		if e.cmd.Verb == VerbScale && !isNamed && existed && sw.Goal == GoalRun {
			sw.Scale = e.scale(s, nil)
			e.w.Services[s] = sw
			continue
		}
		var old *ServiceWish
		if existed {
			old = &sw
		}
		next := ServiceWish{
			Goal: GoalRun, Scale: e.scale(s, old), Start: e.w.Sequence, Upped: e.w.Sequence,
			Restart: sw.Restart, Recreate: sw.Recreate,
			NoRecreate: e.cmd.NoRecreate, NoDeps: e.cmd.NoDeps, Strict: e.cmd.Strict || sw.Strict && e.cmd.Verb == VerbScale, Grace: e.cmd.Timeout, RenewVolumes: e.cmd.RenewVolumes,
		}
		if e.cmd.Verb == VerbScale && existed {
			next.Hash, next.Look, next.Rollback = sw.Hash, sw.Look, sw.Rollback
		} else {
			e.configured(s, &next)
		}
		if create {
			next.Goal = GoalCreate
			if sw.Goal == GoalRun { // create leaves what runs running
				next.Goal, next.Start, next.Upped = GoalRun, sw.Start, sw.Upped
			}
		}
		if e.cmd.Verb == VerbScale {
			next.Start = max(sw.Start, 1)
			if next.Upped = sw.Upped; !existed {
				next.Upped = next.Start
			}
			next.NoRecreate = sw.NoRecreate || !existed // what an update has begun goes on
		}
		if e.cmd.ForceRecreate && isNamed || e.cmd.AlwaysDeps && !isNamed {
			next.Recreate = e.w.Sequence
		}
		e.w.Services[s] = next
	}
	e.w.Down = false
	return selected
}

// scale is the replica count a service gets: the command's, else the file's.
func (e *editor) scale(service string, _ *ServiceWish) int {
	if n, ok := e.cmd.Scale[service]; ok {
		return n
	}
	svc, ok := e.w.Stack.Services[service]
	if !ok {
		return 1
	}
	return svc.GetScale()
}

// start wishes existing replicas of the selected services and of what they need
// to run.
func (e *editor) start(selected []string) []string {
	selected = e.g.Closure(selected...)
	e.each(selected, func(sw *ServiceWish) { sw.Goal, sw.Start = GoalRun, e.w.Sequence })
	return selected
}

// dependencies wishes what the services need to run, without themselves.
func (e *editor) dependencies(selected []string) []string {
	if e.cmd.NoDeps {
		return nil
	}
	deps := slices.DeleteFunc(e.g.Closure(selected...), func(s string) bool { return slices.Contains(selected, s) })
	for _, s := range deps {
		sw, ok := e.w.Services[s]
		if !ok || sw.Goal != GoalRun {
			sw = ServiceWish{Goal: GoalRun, Scale: e.scale(s, nil)}
		}
		sw.Start, sw.Upped = e.w.Sequence, e.w.Sequence
		e.configured(s, &sw)
		e.w.Services[s] = sw
	}
	return deps
}

func (e *editor) down() {
	grace := e.cmd.Timeout
	if len(e.cmd.Services) > 0 {
		e.each(e.cmd.Services, func(sw *ServiceWish) { sw.Goal = GoalRemove })
		return
	}
	e.w.Down, e.w.Live = true, nil
	e.w.RemoveVolumes = e.cmd.Volumes
	for s, sw := range e.w.Services {
		sw.Goal, sw.Grace = GoalRemove, grace
		e.w.Services[s] = sw
	}
}

// grace is how long a replica gets between its stop signal and the kill.
func (w Wish) grace(i *Instance) time.Duration {
	if i.WantGrace != nil {
		return *i.WantGrace
	}
	if g := w.Services[i.Service].Grace; g != nil {
		return *g
	}
	if i.Grace > 0 {
		return i.Grace
	}
	return defaultGrace
}

const defaultGrace = 10 * time.Second
