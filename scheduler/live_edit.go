package scheduler

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// inScope are the services of st that edits concern: those that the command named,
// with what they need, or all.
func (src LiveSource) inScope(st *spec.Stack) []string {
	if len(src.Services) == 0 {
		return st.ServiceNames()
	}
	named := slices.DeleteFunc(slices.Clone(src.Services), func(s string) bool { _, on := st.Services[s]; return !on })
	if src.NoDeps {
		return named
	}
	g, err := NewGraph(st.Project)
	if err != nil {
		return named
	}
	return g.Closure(named...)
}

// editLive gives a wish an edited stack: services that are new come, those that are
// gone go, the others get their new configuration. What a person asked of a service
// since (stop, scale) stays, and a one-shot that completed is not run again.
func editLive(w Wish, st *spec.Stack, src LiveSource) (Wish, []string, error) {
	old, scope := w.Stack, src.inScope(st)
	w.Sequence++
	w.Stack = st
	w.Services = maps.Clone(w.Services)
	if w.Services == nil {
		w.Services = map[string]ServiceWish{}
	}
	for _, name := range scope {
		sw, wished := w.Services[name]
		before, had := old.Services[name]
		hash, err := st.Hash(name)
		if err != nil {
			return Wish{}, nil, err
		}
		svc := st.Services[name]
		switch {
		case !had || !wished:
			w.Services[name] = ServiceWish{Goal: GoalRun, Scale: svc.GetScale(), Start: w.Sequence, Upped: w.Sequence, Hash: hash, NoDeps: src.NoDeps, Strict: src.Strict}
			continue
		case before.GetScale() != svc.GetScale():
			sw.Scale = svc.GetScale()
		}
		if sw.Hash != hash {
			sw.Hash, sw.Rollback = hash, nil
		}
		w.Services[name] = sw
	}
	about := slices.Clone(scope)
	for name, sw := range w.Services {
		_, had := old.Services[name]
		if _, stays := st.Services[name]; stays || !had {
			continue
		}
		if _, asleep := st.DisabledServices[name]; !asleep {
			sw.Goal = GoalRemove
			w.Services[name] = sw
			about = append(about, name)
		}
	}
	slices.Sort(about)
	return w, about, nil
}

// keepReturns is st with the services as they are that were taken back to an earlier
// revision from what st has of them still: an edit of something else does not try a
// failed update again.
func (c *Controller) keepReturns(st *spec.Stack) (*spec.Stack, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := map[string]ServiceWish{}
	for name, sw := range c.want.Services {
		if _, on := st.Services[name]; sw.Rollback == nil || !on {
			continue
		}
		hash, err := st.Hash(name)
		if err != nil {
			return nil, err
		}
		if sw.Rollback.File == hash {
			kept[name] = sw
		}
	}
	return carry(c.want.Stack, st, kept)
}

// foreseeEdit is what an edit would lead to.
func (c *Controller) foreseeEdit(st *spec.Stack, src LiveSource) (Plan, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	base := c.want.Stack
	w, _, err := editLive(c.want.Wish, st, src)
	if err != nil {
		return Plan{}, err
	}
	want, err := NewWant(w)
	if err != nil {
		return Plan{}, err
	}
	seen := c.observed()
	for _, name := range otherImages(base, st) {
		delete(seen.Digests, name)
		delete(seen.Sources, name)
	}
	plan := Foresee(want, seen, c.Now())
	c.Store.nameKeys(&plan, want, seen)
	plan.Services = nil // only what is done is shown
	return plan, nil
}

// applyEdit makes an edited stack the wish, if it was judged against the present one.
func (c *Controller) applyEdit(st, base *spec.Stack, src LiveSource) (subject, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.want.Stack != base {
		return subject{}, errChangedMeanwhile
	}
	w, services, err := editLive(c.want.Wish, st, src)
	if err != nil {
		return subject{}, err
	}
	c.keepContents(&w)
	for _, name := range otherImages(base, st) {
		c.looked[name] = true
		delete(c.images, name)
		if sw, ok := w.Services[name]; ok {
			sw.Look = w.Sequence
			w.Services[name] = sw
		}
	}
	return subject{services: services, sequence: w.Sequence}, c.adopt(w)
}

// otherImages are the services whose images are other references than before: only
// those are looked for again.
func otherImages(old, new *spec.Stack) []string {
	var out []string
	for name, svc := range new.Services {
		before := types.ServiceConfig{}
		if old != nil {
			before = old.Services[name]
		}
		if !slices.Equal(imagesOf(before), imagesOf(svc)) || before.Platform != svc.Platform {
			out = append(out, name)
		}
	}
	return out
}
