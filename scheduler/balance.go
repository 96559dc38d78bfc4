package scheduler

import (
	"slices"

	"stack/netns"
)

// fitness says how an instance stands to new connections; see fittest.
type fitness int

const (
	unfit    fitness = iota
	leaving          // stopping, or not begun yet: better than nobody
	unproved         // runs, but its health check does not say that it can serve
	ready
)

// fitness judges one instance; opening says that its start is under way. This is
// the one place that decides who is ready.
func (i *Instance) fitness(opening bool) fitness {
	switch {
	case i.State == StateRunning && (i.Health == "" || i.Health == HealthNone || i.Health == HealthHealthy):
		return ready
	case i.State == StateRunning, i.State == StatePaused:
		return unproved
	case i.State == StateStopping, opening:
		return leaving
	}
	return unfit
}

// fittest are those of the candidates that new connections go to: the ready ones;
// when none is, those that run; when none does, those that stop or are about to
// start. So the only replica of a service is served whatever its health, as
// Compose's users expect, and an ill one of several gets nothing.
func fittest(candidates []*Instance, opening map[string]bool) map[string]bool {
	best := leaving
	for _, i := range candidates {
		best = max(best, i.fitness(opening[i.ID]))
	}
	out := map[string]bool{}
	for _, i := range candidates {
		if i.fitness(opening[i.ID]) == best {
			out[i.ID] = true
		}
	}
	return out
}

// balancedPorts are the ports of all instances that can serve at all, those of
// the less fit resting. One port's candidates are the instances that publish it.
func balancedPorts(all []*Instance, opening map[string]bool) []netns.Port {
	candidates := map[string][]*Instance{}
	for _, i := range all {
		if i.fitness(opening[i.ID]) == unfit {
			continue
		}
		for _, p := range i.Ports {
			candidates[portName(p)] = append(candidates[portName(p)], i)
		}
	}
	var out []netns.Port
	for name, group := range candidates {
		best := fittest(group, opening)
		for _, i := range group {
			for _, p := range i.Ports {
				if portName(p) == name {
					p.Resting = !best[i.ID]
					out = append(out, p)
				}
			}
		}
	}
	slices.SortFunc(out, comparePorts)
	return out
}
