package scheduler

import "slices"

// tell hands a command's client the warnings of the plan that it led to.
func (c *Controller) tell(cmd Command, reply func(Reply)) {
	if !slices.Contains([]Verb{VerbUp, VerbCreate, VerbStart, VerbScale, VerbRun}, cmd.Verb) {
		return
	}
	c.mu.Lock()
	warnings := slices.Clone(c.plan.Warnings)
	c.mu.Unlock()
	for _, w := range warnings {
		reply(Reply{Warning: w})
	}
}

// noticed are a container's warnings as lines of their own.
func noticed(ev Event) []Reply {
	var out []Reply
	for _, w := range ev.Warnings {
		if ev.Type != "container" {
			out = append(out, Reply{Warning: w})
			continue
		}
		out = append(out, Reply{Warning: "container " + ev.Name + ": " + w})
	}
	return out
}
