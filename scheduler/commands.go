package scheduler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"stack/spec"
)

// Do carries out a command and returns when the world agrees with it, cannot, or
// ctx ends. reply is called with progress, one call at a time.
func (c *Controller) Do(ctx context.Context, cmd Command, each func(Reply)) error {
	var mu sync.Mutex
	reply := func(r Reply) {
		mu.Lock()
		defer mu.Unlock()
		each(r)
	}
	// Until then the records tell of containers that may have ended with the machine.
	select {
	case <-c.resumed:
	case <-ctx.Done():
		return ctx.Err()
	}
	sub := c.Bus.Subscribe()
	defer sub.Close()
	result := make(chan error, 1)
	go func() { result <- c.dispatch(ctx, cmd, reply) }()
	for {
		select {
		case <-sub.C:
			c.relay(sub, reply)
		case err := <-result:
			c.relay(sub, reply)
			c.tell(cmd, reply)
			return err
		}
	}
}

func (c *Controller) relay(sub *Subscription, reply func(Reply)) {
	for _, ev := range sub.Take() {
		if ev.Progress != "" {
			reply(Reply{Event: &ev})
		}
		for _, r := range noticed(ev) {
			reply(r)
		}
	}
}

// Enter announces a request; false means that this controller is ending and
// another must be started. Leave follows.
func (c *Controller) Enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.clients++
	return true
}

// Leave ends a request.
func (c *Controller) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clients--
	c.Wake()
}

func (c *Controller) dispatch(ctx context.Context, cmd Command, reply func(Reply)) error {
	switch cmd.Verb {
	case VerbKill:
		return c.kill(ctx, cmd)
	case VerbWait:
		return c.waitExit(ctx, cmd, reply)
	case VerbPause, VerbUnpause:
		return c.pause(ctx, cmd)
	case VerbRun:
		return c.runOneOff(ctx, cmd, reply)
	case VerbRelease:
		return c.release(ctx, cmd)
	case VerbLive:
		return c.watchStack(ctx, cmd, reply)
	case VerbBoot:
		return c.boot(ctx, cmd)
	case VerbHalt:
		return c.halt(ctx)
	case VerbApprove:
		return c.approve(ctx, cmd)
	case VerbWatch:
		return c.watchFiles(ctx, cmd, reply)
	case VerbRollback:
		about, warnings, err := c.applyRollback(cmd)
		for _, text := range warnings {
			reply(Reply{Warning: text})
		}
		if err != nil {
			return err
		}
		return c.follow(ctx, cmd, about)
	}
	about, err := c.apply(cmd)
	if err != nil {
		return err
	}
	return c.follow(ctx, cmd, about)
}

// apply edits the wish, and the instances' own marks where the command names
// containers; it returns what to wait for.
func (c *Controller) apply(cmd Command) (subject, error) {
	st, err := c.decode(cmd)
	if err != nil {
		return subject{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if st == nil {
		st = awaken(c.want.Stack, cmd.Services, cmd.Profiles)
	}
	g, err := NewGraph(st.Project)
	if err != nil {
		return subject{}, err
	}
	w, services, err := edit(c.want.Wish, st, g, cmd)
	if err != nil {
		return subject{}, err
	}
	about := subject{services: services, sequence: w.Sequence}
	if about.instances, err = c.mark(&w, cmd, services); err != nil {
		return subject{}, err
	}
	if w.Stack != c.want.Stack {
		c.keepContents(&w)
	}
	c.lookAgain(&w, cmd, services)
	return about, c.adopt(w)
}

// lookAgain has an up look at the images of its services again.
func (c *Controller) lookAgain(w *Wish, cmd Command, services []string) {
	if !slices.Contains([]Verb{VerbUp, VerbCreate, VerbRun, VerbRebuilt}, cmd.Verb) {
		return
	}
	for _, s := range services {
		if sw, ok := w.Services[s]; ok {
			sw.Look = w.Sequence
			w.Services[s] = sw
		}
		c.looked[s] = true
		if cmd.Verb != VerbRun {
			delete(c.images, s)
		}
	}
}

// adopt makes w the wish, in memory and on disk, and wakes the loop.
func (c *Controller) adopt(w Wish) error {
	want, err := NewWant(w)
	if err != nil {
		return err
	}
	if err := c.Store.saveWish(c.want.Wish, w); err != nil {
		return err
	}
	if !w.Down {
		c.unpark(context.Background())
	}
	if !sameBandwidth(c.want.Stack, want.Stack) {
		defer c.network.Ask() // no operation of the plan would: containers stay as they are
	}
	live := c.want.Live
	c.want, c.shared = want, newShared()
	if w.Live != live {
		c.resumeLive()
	}
	clear(c.failed)
	clear(c.left)
	c.Wake()
	return nil
}

func sameBandwidth(a, b *spec.Stack) bool {
	if a == nil || b == nil {
		return true
	}
	networksA, servicesA, err1 := bandwidthOf(a.Project)
	networksB, servicesB, err2 := bandwidthOf(b.Project)
	return err1 == nil && err2 == nil && maps.Equal(networksA, networksB) && maps.Equal(servicesA, servicesB)
}

func (c *Controller) decode(cmd Command) (*spec.Stack, error) {
	if len(cmd.Spec) == 0 {
		return nil, nil
	}
	return spec.Decode(cmd.Spec)
}

// mark sets what a command asks of single containers, and returns them.
func (c *Controller) mark(w *Wish, cmd Command, services []string) ([]*Instance, error) {
	targets, err := c.targets(cmd.Containers, services, cmd.Verb)
	if err != nil {
		return nil, err
	}
	for _, i := range targets {
		switch {
		case cmd.Verb == VerbRemove:
			c.discard(w, i, cmd)
		case len(cmd.Containers) == 0 && cmd.Verb == VerbStop:
			i.WantStart = 0
		case len(cmd.Containers) == 0:
			continue
		case cmd.Verb == VerbStop:
			i.WantStopped, i.WantGrace = true, cmd.Timeout
		case cmd.Verb == VerbStart, cmd.Verb == VerbRestart:
			i.WantStart, i.WantStopped, i.Held = w.Sequence, cmd.Verb == VerbRestart && i.live(), false
			i.WantGrace = cmd.Timeout
		}
		c.save(i)
	}
	return targets, nil
}

// discard marks a container for removal and takes it off its service's scale, so
// that the loop does not make another.
func (c *Controller) discard(w *Wish, i *Instance, cmd Command) {
	if i.live() && !cmd.Force {
		return
	}
	i.Discard, i.DiscardVolumes, i.WantGrace = true, cmd.Volumes, cmd.Timeout
	if sw, ok := w.Services[i.Service]; ok && !i.OneOff && sw.Scale > 0 {
		sw.Scale--
		w.Services[i.Service] = sw
	}
}

// targets returns the instances that a command is about: those named, else the
// numbered replicas of the services. rm is about one-offs of the services too.
func (c *Controller) targets(names, services []string, verb Verb) ([]*Instance, error) {
	var out []*Instance
	if len(names) == 0 {
		for _, i := range c.instances {
			if slices.Contains(services, i.Service) && (!i.OneOff || verb == VerbRemove) {
				out = append(out, i)
			}
		}
		return out, nil
	}
	for _, name := range names {
		i := c.find(name)
		if i == nil {
			return nil, fmt.Errorf("no such container: %s", name)
		}
		out = append(out, i)
	}
	return out, nil
}

// find returns the instance of a name or of a unique ID prefix.
func (c *Controller) find(name string) *Instance {
	var match *Instance
	for _, i := range c.instances {
		if i.Name == name || i.ID == name {
			return i
		}
		if len(name) >= 4 && strings.HasPrefix(i.ID, name) {
			if match != nil {
				return nil
			}
			match = i
		}
	}
	return match
}
