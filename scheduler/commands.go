package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moby/sys/signal"

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
	}
	services, err := c.apply(cmd)
	if err != nil {
		return err
	}
	return c.follow(ctx, cmd, services)
}

// apply edits the wish, and the instances' own marks where the command names
// containers; it returns the services to wait for.
func (c *Controller) apply(cmd Command) ([]string, error) {
	st, err := c.decode(cmd)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if st == nil {
		st = c.want.Stack
	}
	g, err := NewGraph(st.Project)
	if err != nil {
		return nil, err
	}
	w, services, err := edit(c.want.Wish, st, g, cmd)
	if err != nil {
		return nil, err
	}
	if err := c.mark(&w, cmd, services); err != nil {
		return nil, err
	}
	if w.Stack != c.want.Stack {
		c.keepContents(&w)
	}
	c.lookAgain(cmd, services)
	return services, c.adopt(w)
}

// lookAgain has an up look at the images of its services again.
func (c *Controller) lookAgain(cmd Command, services []string) {
	if cmd.Verb != VerbUp && cmd.Verb != VerbCreate && cmd.Verb != VerbRun {
		return
	}
	for _, s := range services {
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
	if err := c.Store.SaveWish(w); err != nil {
		return err
	}
	c.want, c.shared = want, newShared()
	clear(c.failed)
	clear(c.left)
	c.Wake()
	return nil
}

func (c *Controller) decode(cmd Command) (*spec.Stack, error) {
	if len(cmd.Spec) == 0 {
		return nil, nil
	}
	return spec.Decode(cmd.Spec)
}

// mark sets what a command asks of single containers.
func (c *Controller) mark(w *Wish, cmd Command, services []string) error {
	targets, err := c.targets(cmd.Containers, services, cmd.Verb)
	if err != nil {
		return err
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
	return nil
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

// follow waits until the wish of the command is met.
func (c *Controller) follow(ctx context.Context, cmd Command, services []string) error {
	err := c.await(ctx, cmd.WaitTimeout, func(time.Time) (bool, error) {
		if cmd.Verb == VerbDown && len(cmd.Services) == 0 {
			return c.nothingMore()
		}
		if cmd.Verb == VerbRemove || len(cmd.Containers) > 0 {
			return c.nothingMore()
		}
		done, err := c.settled(services)
		if err != nil || !done || !cmd.Wait {
			return done, err
		}
		return c.healthy(services)
	})
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("%w: %s", err, c.unready(services))
	}
	if err == nil && cmd.Verb == VerbDown && len(cmd.Services) == 0 {
		err = c.downEnd(ctx)
	}
	return errors.Join(err, c.hookErrors())
}

// hookErrors are the failed pre_stop hooks of this command's stops.
func (c *Controller) hookErrors() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(c.failed)) {
		if strings.HasPrefix(id, "hook ") {
			errs = append(errs, errors.New(c.failed[id]))
		}
	}
	return errors.Join(errs...)
}

// downEnd forgets a project of which nothing is left.
func (c *Controller) downEnd(ctx context.Context) error {
	c.mu.Lock()
	left := len(c.instances)
	c.mu.Unlock()
	if left > 0 {
		return nil // orphans stay
	}
	c.mu.Lock()
	c.ended = true // a next command begins with a new controller and a new record
	c.mu.Unlock()
	c.network.Close() // or what is under way would make again what is removed
	if err := c.Network.Remove(ctx); err != nil {
		return err
	}
	if err := c.Store.ReleaseIDs(); err != nil {
		return err
	}
	return c.Store.RemoveProject()
}

// unready names what a timed-out wait still waited for.
func (c *Controller) unready(services []string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, i := range c.instances {
		if i.OneOff || !slices.Contains(services, i.Service) || i.Health == HealthHealthy {
			continue
		}
		if i.State != StateRunning || i.Health != "" && i.Health != HealthNone {
			is := string(i.State)
			if i.Health != "" && i.Health != HealthNone {
				is += ", health: " + string(i.Health)
			}
			out = append(out, i.Name+" is "+is+lastProbe(i))
		}
	}
	for _, s := range services {
		if w := c.plan.Services[s].Waiting; w != "" {
			out = append(out, s+" waits for "+w)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// nothingMore reports whether no operation is under way and none can begin, and
// what failed on the way: what waits for a failed one never will.
func (c *Controller) nothingMore() (bool, error) {
	begins := func(op Op) bool { return len(op.After) == 0 }
	if len(c.inFlight) > 0 || slices.ContainsFunc(c.plan.Ops, begins) {
		return false, nil
	}
	var reasons []string
	for _, s := range c.plan.Services {
		if s.Failed != "" {
			reasons = append(reasons, s.Failed)
		}
	}
	if len(reasons) > 0 {
		slices.Sort(reasons)
		return true, errors.New(strings.Join(slices.Compact(reasons), "\n"))
	}
	return true, nil
}

// kill sends a signal to the processes of running containers. A signal that ends
// is a person's stop: no policy starts the container again.
func (c *Controller) kill(ctx context.Context, cmd Command) error {
	sig := syscall.SIGKILL
	if cmd.Signal != "" {
		s, err := signal.ParseSignal(cmd.Signal)
		if err != nil {
			return err
		}
		sig = s
	}
	c.mu.Lock()
	targets, err := c.targets(cmd.Containers, c.selected(cmd), cmd.Verb)
	if err != nil {
		c.mu.Unlock()
		return err
	}
	c.want.Sequence++
	var hit []*Instance
	for _, i := range targets {
		if !i.live() {
			continue
		}
		if stop, _ := signal.ParseSignal(i.StopSignal); sig == syscall.SIGKILL || sig == stop {
			i.Held, i.HeldSeq = true, c.want.Sequence
			c.save(i)
		}
		hit = append(hit, i)
	}
	err = c.Store.SaveWish(c.want.Wish)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if len(hit) == 0 && len(cmd.Containers) > 0 {
		return fmt.Errorf("container %s is not running", strings.Join(cmd.Containers, ", "))
	}
	for _, i := range hit {
		if err := c.Runtime.Kill(ctx, i.ID, sig, false); err != nil {
			return fmt.Errorf("cannot kill container %s: %w", i.Name, err)
		}
		c.publish(i, Event{Action: "kill", Progress: "Killed", Attributes: map[string]string{"signal": signalName(sig)}})
	}
	if sig != syscall.SIGKILL {
		return nil
	}
	return c.await(ctx, 0, func(time.Time) (bool, error) {
		return !slices.ContainsFunc(hit, (*Instance).live), nil
	})
}

// selected are the services a command names, or all.
func (c *Controller) selected(cmd Command) []string {
	if len(cmd.Services) > 0 {
		return cmd.Services
	}
	var all []string
	for _, i := range c.instances {
		all = append(all, i.Service)
	}
	return all
}

func (c *Controller) pause(ctx context.Context, cmd Command) error {
	c.mu.Lock()
	targets, err := c.targets(cmd.Containers, c.selected(cmd), cmd.Verb)
	if err == nil && len(targets) == 0 {
		err = errors.New("no containers to " + string(cmd.Verb))
	}
	for _, i := range targets {
		i.WantPaused = cmd.Verb == VerbPause && i.live()
		c.save(i)
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.await(ctx, 0, func(time.Time) (bool, error) {
		for _, i := range targets {
			if i.live() && i.WantPaused != (i.State == StatePaused) {
				return false, c.failedOp(string(OpPause)+" "+i.Name, string(OpUnpause)+" "+i.Name)
			}
		}
		return true, nil
	})
}

func (c *Controller) failedOp(ids ...string) error {
	for _, id := range ids {
		if msg, ok := c.failed[id]; ok {
			return errors.New(msg)
		}
	}
	return nil
}

// waitExit blocks until the selected containers have stopped and replies with
// their codes.
func (c *Controller) waitExit(ctx context.Context, cmd Command, reply func(Reply)) error {
	c.mu.Lock()
	targets, err := c.targets(cmd.Containers, c.selected(cmd), cmd.Verb)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return errors.New("no containers to wait for")
	}
	codes := map[string]int{}
	err = c.await(ctx, 0, func(time.Time) (bool, error) {
		for _, i := range targets {
			if _, there := c.instances[i.ID]; there && (i.live() || i.State == StateRestarting || i.State == StateCreated) {
				return false, nil
			}
			codes[i.Name] = exitCode(i)
		}
		return true, nil
	})
	if err == nil {
		reply(Reply{Codes: codes})
	}
	return err
}

func signalName(sig syscall.Signal) string {
	for name, s := range signal.SignalMap {
		if s == sig {
			return "SIG" + name
		}
	}
	return sig.String()
}
