package scheduler

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"stack/runtime"
)

// resume takes up what an earlier controller left: containers that the shim does
// not know because it is new as well, probes, resolver sockets, reserved ports and
// the network as it should be.
func (c *Controller) resume(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	var live []Instance
	for _, i := range c.instances {
		if i.live() && c.retake(ctx, i, now) {
			live = append(live, *i)
		}
	}
	if slices.ContainsFunc(c.sorted(), func(i *Instance) bool { return i.WantStart > c.want.Sequence }) {
		c.recount()
	}
	c.spawn(func() {
		c.unparkStrays(ctx)
		c.reconnect(ctx, live)
	})
	c.network.Ask()
	c.healing.news = len(live) > 0 // what was lost while the first Apply looked
	c.Wake()
}

// retake makes sure that the shim waits for a live container and copies its output;
// false means that the container has ended and nobody could read its code.
func (c *Controller) retake(ctx context.Context, i *Instance, now time.Time) bool {
	if c.Keeper.Adopted(i.ID) || c.exitRecorded(i.ID) {
		return true
	}
	st, err := c.Runtime.State(ctx, i.ID)
	switch {
	case errors.Is(err, runtime.ErrNotFound) && !i.OneOff:
		c.lost(ctx, i, now)
		return false
	case errors.Is(err, runtime.ErrNotFound), err == nil && st.Status == runtime.Stopped:
		c.exited(ctx, i, runtime.Exit{Code: -1, Unknown: true, At: now}, now)
		return false
	case err != nil:
		c.Log.Warn("cannot look at container", "container", i.Name, "error", err)
		return true
	}
	err = c.Keeper.Readopt(ctx, ReadoptRequest{
		ID: i.ID, Dir: c.Store.InstanceDir(i.ID), TTY: i.TTY, StdinOnce: i.OneOff,
		LogPath: c.Store.LogPath(i.ID), Log: i.Log,
		Pid: st.Pid, StartTime: st.StartTime, Exit: c.Store.ExitPath(i.ID),
	})
	if err != nil {
		c.Log.Error("cannot take up container again", "container", i.Name, "error", err)
	}
	return true
}

func (c *Controller) exitRecorded(id string) bool {
	_, err := os.Stat(c.Store.ExitPath(id))
	return !errors.Is(err, fs.ErrNotExist)
}

// reconnect serves containers that ran on without us: first the clients of their
// ports that no rule can redirect, then their name queries.
func (c *Controller) reconnect(ctx context.Context, live []Instance) {
	for _, step := range []func(context.Context, *Instance) error{c.resumePorts, c.resumeNames} {
		for _, i := range live {
			if err := step(ctx, &i); err != nil {
				c.Log.Warn("cannot serve container again", "container", i.Name, "error", err)
			}
		}
	}
}

// resumeNames answers on the resolver's sockets that the shim kept, or on new ones.
func (c *Controller) resumeNames(ctx context.Context, i *Instance) error {
	if len(i.Endpoints) == 0 {
		return nil
	}
	c.mu.Lock()
	svc := c.serviceOf(i)
	c.mu.Unlock()
	st, err := c.Runtime.State(ctx, i.ID)
	if err != nil || st.Pid == 0 {
		return nil // it has ended meanwhile
	}
	client := c.resolverClient(svc, i.Endpoints)
	if resumed, err := c.dns.resume(i.ID, st.Pid, client); resumed || err != nil {
		return err
	}
	return c.dns.serve(ctx, i.ID, st.Pid, client)
}

// reserveAgain is when ports that could not be reserved again are tried again.
const reserveAgain = 200 * time.Millisecond

// resumePorts reserves again what a dead shim let go of. Who had it before may be
// dying still, so it is tried until it succeeds or the container has ended.
func (c *Controller) resumePorts(ctx context.Context, i *Instance) error {
	var errs []error
	for _, p := range i.Ports {
		_, err := c.reserve(ctx, p)
		errs = append(errs, err)
	}
	err := errors.Join(append(errs, c.serveProxies(i))...)
	if err != nil {
		time.AfterFunc(reserveAgain, func() {
			if now, ok := c.instance(i.ID); ok && now.live() && ctx.Err() == nil {
				_ = c.resumePorts(ctx, &now) // told the first time
			}
		})
	}
	return err
}

// letGo releases every descriptor that the shim keeps for a container, also those
// that a start interrupted by a controller's death left unrecorded.
func (c *Controller) letGo(ctx context.Context, id string) error {
	c.dns.drop(id)
	var errs []error
	for _, name := range c.Keeper.Names() {
		if !strings.HasPrefix(name, portPrefix) && strings.Contains(name, "/"+id) {
			errs = append(errs, c.Keeper.Release(ctx, name))
		}
	}
	return errors.Join(append(errs, c.Keeper.Forget(ctx, id))...)
}
