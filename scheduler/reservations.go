package scheduler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stack/netns"
)

// A published port is a bound socket that the shim keeps: no other program takes
// the port while rules lead its packets elsewhere. It belongs to the service, so
// that replicas share it and one that is replaced hands it on.

// portPrefix begins the names of reservations.
const portPrefix = "port/"

// portName is the name under which the shim keeps a port's reservation.
func portName(p netns.Port) string {
	owner := p.Container
	if p.Service != "" {
		owner = ownerName(p.Service)
	}
	return fmt.Sprintf("%s%s/%s/%s/%d", portPrefix, owner, p.Protocol, p.HostIP, p.HostPort)
}

func ownerName(service string) string { return "service." + service }

// reserve makes sure that a port is bound for its owner, choosing it when its
// HostPort is 0.
func (c *Controller) reserve(ctx context.Context, p netns.Port) (netns.Port, error) {
	c.reserving.Lock()
	defer c.reserving.Unlock()
	if p.HostPort != 0 {
		if f := c.Keeper.Held(portName(p)); f != nil {
			f.Close()
			return p, nil
		}
	}
	got, f, err := c.Network.Reserve(p)
	if err != nil {
		return p, err
	}
	defer f.Close()
	return got, c.Keeper.Hold(ctx, portName(got), f)
}

// releasePorts lets go of the reservations that nobody needs any more.
func (c *Controller) releasePorts(ctx context.Context) error {
	c.reserving.Lock()
	defer c.reserving.Unlock()
	c.mu.Lock()
	surplus := c.surplusPorts()
	c.mu.Unlock()
	var errs []error
	for _, name := range surplus {
		c.stopProxy(name)
		errs = append(errs, c.Keeper.Release(ctx, name))
	}
	return errors.Join(errs...)
}

// surplusPorts lists reservations that no instance uses or is about to use, and
// that no replica to come will; called under mu.
func (c *Controller) surplusPorts() []string {
	needed := map[string]bool{}
	for _, i := range c.instances {
		if i.live() || c.opening[i.ID] || i.State == StateRestarting || c.startsSoon(i) {
			for _, p := range i.Ports {
				needed[portName(p)] = true
			}
		}
	}
	return slices.DeleteFunc(c.Keeper.Names(), func(name string) bool {
		owner, isPort := strings.CutPrefix(name, portPrefix)
		owner, _, _ = strings.Cut(owner, "/")
		service, ofService := strings.CutPrefix(owner, "service.")
		return !isPort || needed[name] || ofService && c.comes(service)
	})
}

// startsSoon reports whether a start of the instance is under way or planned.
func (c *Controller) startsSoon(i *Instance) bool {
	return c.working(OpStart, i.ID) || slices.ContainsFunc(c.plan.Ops, func(op Op) bool { return op.Kind == OpStart && op.Instance == i.ID })
}

// comes reports whether a replica of the service is about to be made or started.
func (c *Controller) comes(service string) bool {
	making := func(op Op) bool {
		return op.Service == service && (op.Kind == OpCreate || op.Kind == OpSurge || op.Kind == OpReplace || op.Kind == OpStart)
	}
	if slices.ContainsFunc(c.plan.Ops, making) {
		return true
	}
	for _, op := range c.inFlight {
		if making(op) {
			return true
		}
	}
	return false
}

// sweepPorts releases what is surplus once the project is at rest: a port that is
// gone from the file, or of a replacement that failed. Called under mu.
func (c *Controller) sweepPorts(ctx context.Context) {
	if len(c.plan.Ops)+len(c.inFlight) > 0 || len(c.surplusPorts()) == 0 {
		return
	}
	op := Op{ID: "release ports", Kind: OpCleanUp}
	c.inFlight[op.ID] = op
	c.spawn(func() {
		defer c.finish(op, nil)
		if err := c.releasePorts(ctx); err != nil {
			c.Log.Warn("cannot release ports", "error", err)
		}
	})
}

func comparePorts(a, b netns.Port) int {
	return cmp.Or(strings.Compare(portName(a), portName(b)), strings.Compare(a.Container, b.Container), cmp.Compare(a.Target, b.Target))
}
