package scheduler

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"crypto/rand"
)

// runOneOff brings up what a service needs, records a container of its own for
// the run and, unless a client is to attach first, starts it.
func (c *Controller) runOneOff(ctx context.Context, cmd Command, reply func(Reply)) error {
	if len(cmd.Services) != 1 || cmd.Run == nil {
		return errors.New("run needs one service")
	}
	about, err := c.apply(cmd)
	if err != nil {
		return err
	}
	deps := about.services
	c.provide(cmd.Services[0])
	if err := c.await(ctx, 0, func(time.Time) (bool, error) { return c.ready(deps, cmd.Services[0], cmd.NoDeps) }); err != nil {
		return err
	}
	i, err := c.newOneOff(ctx, cmd.Services[0], *cmd.Run)
	if err != nil {
		return err
	}
	reply(Reply{Created: i})
	return c.await(ctx, 0, func(time.Time) (bool, error) {
		now, ok := c.instances[i.ID]
		switch {
		case !ok:
			return true, nil
		case now.Error != "":
			return true, &StartError{Reason: now.Error, Code: now.ErrorCode}
		}
		return !now.Started.IsZero() || c.held[i.ID] != nil, nil
	})
}

// provide has the networks and volumes of a service made, of which no replica need be
// wanted.
func (c *Controller) provide(service string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if svc, ok := c.want.Stack.Services[service]; ok {
		c.want.addObjects(svc)
	}
}

// ready reports whether what a run needs is there: its networks and volumes, and the
// services that it depends on.
func (c *Controller) ready(deps []string, service string, noDeps bool) (bool, error) {
	done, err := c.settled(deps)
	if err != nil {
		return true, err
	}
	done = done && c.objectsReady(service)
	if noDeps {
		return done, nil
	}
	p := &planner{want: c.want, seen: c.observed(), now: c.Now(), ops: map[string]bool{}}
	p.plan.Services = map[string]Status{}
	ok := p.gate(service, ServiceWish{})
	if failed := p.plan.Services[service].Failed; failed != "" {
		return true, errors.New(failed)
	}
	return done && ok, nil
}

// objectsReady reports whether the service's networks and volumes exist.
func (c *Controller) objectsReady(service string) bool {
	svc := c.want.Stack.Services[service]
	networks := c.seenNetworks()
	for _, key := range attachments(svc) {
		if networks[key] == "" {
			return false
		}
	}
	volumes, _ := c.Store.Layout.hashesOf(c.want.Volumes)
	for _, m := range svc.Volumes {
		v, named := c.want.Volumes[m.Source]
		if _, made := volumes[v.Name]; named && !made && !v.External {
			return false
		}
	}
	return true
}

func (c *Controller) newOneOff(ctx context.Context, service string, run RunOptions) (*Instance, error) {
	img, err := c.image(ctx, service)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	svc, ok := c.want.Stack.Services[service]
	if !ok {
		return nil, c.want.Stack.NoService(service)
	}
	name := run.Name
	if name == "" {
		name = c.Store.Project + "-" + service + "-run-" + shortRandom()
	}
	if c.find(name) != nil {
		return nil, fmt.Errorf("container name %s is in use", name)
	}
	i := &Instance{
		ID: newID(), Name: name, Service: service, OneOff: true, Run: &run,
		Hash: c.want.Hashes[service], Image: ImageName(c.Store.Project, svc), Digest: img.Digest,
		State: StateCreated, Created: c.Now(), CreatedSeq: c.want.Sequence, WantStart: c.want.Sequence,
	}
	if err := c.describe(i, run.Apply(svc), img); err != nil {
		return nil, err
	}
	if err := c.Store.SaveInstance(i); err != nil {
		return nil, err
	}
	c.instances[i.ID] = i
	c.detail(i, run.Apply(svc), img)
	c.publish(i, Event{Action: "create", Progress: "Created"})
	c.Wake()
	return i, nil
}

func shortRandom() string {
	b := make([]byte, 6)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// awaitRelease holds a created one-off until its client has attached.
func (c *Controller) awaitRelease(ctx context.Context, i *Instance) error {
	gate := make(chan struct{})
	c.mu.Lock()
	c.held[i.ID] = gate
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.held, i.ID)
		c.mu.Unlock()
	}()
	err := c.await(ctx, attachPatience, func(time.Time) (bool, error) {
		select {
		case <-gate:
			return true, nil
		default:
		}
		if now, ok := c.instances[i.ID]; !ok || now.Discard || c.want.Down {
			return true, errors.New("it is to be removed")
		}
		return false, nil
	})
	if errors.Is(err, errTimeout) {
		return errors.New("nobody attached")
	}
	return err
}

// attachPatience is how long a run waits for its client, which may have died.
const attachPatience = 30 * time.Second

// release starts a held one-off.
func (c *Controller) release(ctx context.Context, cmd Command) error {
	c.mu.Lock()
	var gate chan struct{}
	i := (*Instance)(nil)
	if len(cmd.Containers) == 1 {
		if i = c.find(cmd.Containers[0]); i != nil {
			gate = c.held[i.ID]
			delete(c.held, i.ID)
		}
	}
	c.mu.Unlock()
	if gate == nil {
		return errors.New("no such container to start")
	}
	close(gate)
	return c.await(ctx, 0, func(time.Time) (bool, error) {
		now, ok := c.instances[i.ID]
		if ok && now.Error != "" {
			return true, &StartError{Reason: now.Error, Code: now.ErrorCode}
		}
		return !ok || !now.Started.IsZero(), nil
	})
}

// StartError is a program that could not be started.
type StartError struct {
	Reason string
	Code   int // 126, 127, or 0
}

func (e *StartError) Error() string { return e.Reason }
