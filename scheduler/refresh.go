package scheduler

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/netns"
	"stack/spec"
)

// refreshed is a container under update.
type refreshed struct {
	c       *Controller
	i       Instance // a copy, with its new settings
	was     Instance
	old     Details
	svc     types.ServiceConfig
	objects *types.Project
	files   []spec.File
	binds   []spec.File
	changed []string // targets of configs and secrets that have another content now
}

// refresh performs OpUpdate: the container goes on with new settings. What it is
// made of is recorded before the hash, so that a crash in between repeats all.
func (c *Controller) refresh(ctx context.Context, op Op) error {
	r, err := c.newRefresh(op)
	if r == nil || err != nil {
		return err
	}
	c.publish(&r.was, Event{Progress: "Updating"})
	var warnings []string
	if r.was.live() {
		if warnings, err = r.limit(ctx); err == nil {
			err = r.publish(ctx)
		}
		if err == nil {
			err = r.rewrite(ctx)
		}
	}
	if err == nil {
		d := r.old
		d.Service, d.Networks = r.svc, networkNames(r.objects, r.svc)
		d.objects, err = spec.Encode(recorded(r.objects, r.files, r.binds, r.svc))
		if err == nil {
			err = c.Store.SaveDetails(r.i.ID, d)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot update container %s: %w", r.i.Name, err)
	}
	c.update(r.i.ID, func(i *Instance) { r.record(i, warnings) })
	c.publish(&r.i, Event{Action: "update", Progress: "Updated", Warnings: warnings, Attributes: r.told()})
	return nil
}

// newRefresh copies what an update needs; nil when the container is gone.
func (c *Controller) newRefresh(op Op) (*refreshed, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.instances[op.Instance]
	if !ok {
		return nil, nil
	}
	svc, ok := c.want.Stack.Services[op.Service]
	if !ok {
		return nil, errNotInFile(op.Service)
	}
	r := &refreshed{c: c, i: *i, was: *i, svc: svc, objects: c.want.Stack.Project, files: c.want.Stack.Files, binds: c.want.Stack.Sources}
	var err error
	if r.old, err = c.Store.LoadDetails(i.ID); err != nil {
		return nil, err
	}
	r.i.Hash, r.i.Recreate = c.want.Hashes[op.Service], c.want.Recreates[op.Service]
	return r, c.describe(&r.i, svc, r.old.Image)
}

// limit changes the cgroup. What the kernel refuses stays as it was until the next
// start, and is a warning.
func (r *refreshed) limit(ctx context.Context) ([]string, error) {
	m := r.c.Machine
	m.Devices = blockNodes(r.old.Service, r.svc)
	before, _, err := limitsOf(withoutGone(r.old.Service, m), m)
	if err != nil {
		return nil, err
	}
	now, warnings, err := limitsOf(r.svc, m)
	if err != nil {
		return nil, err
	}
	memory, block, others := limitChanges(before, now, m)
	for what, change := range map[string]*specs.LinuxResources{"memory": memory, "block I/O": block, "other": others} {
		if change == nil {
			continue
		}
		err := r.c.Runtime.Update(ctx, r.i.ID, change)
		switch {
		case err == nil, gone(err): // its next start has them
		case ctx.Err() != nil:
			return nil, ctx.Err()
		default:
			warnings = append(warnings, fmt.Sprintf("its %s limits stay as they are until it is started anew: %v", what, err))
		}
	}
	slices.Sort(warnings)
	return warnings, nil
}

// publish opens the ports that are new and closes those that are gone; ports that
// stay are not touched.
func (r *refreshed) publish(ctx context.Context) error {
	wanted, err := Ports(r.svc, r.i.identity())
	if err != nil {
		return err
	}
	r.i.Ports = nil
	for _, p := range wanted {
		got, err := r.c.reserve(ctx, chosenBefore(p, r.was.Ports, r.i.Ports))
		if err != nil {
			return err // what was reserved is surplus, and swept
		}
		r.i.Ports = append(r.i.Ports, got)
	}
	if slices.Equal(r.i.Ports, r.was.Ports) {
		return nil
	}
	r.c.update(r.i.ID, func(i *Instance) { i.Ports = r.i.Ports })
	return errors.Join(r.c.balance.write.Do(ctx), r.c.releasePorts(ctx), r.c.serveProxies(&r.i))
}

// chosenBefore keeps the host port that was chosen for p, unless another has it.
func chosenBefore(p netns.Port, before, taken []netns.Port) netns.Port {
	for _, old := range before {
		same := p
		same.HostPort = old.HostPort
		if p.HostPort == 0 && same == old && !slices.Contains(taken, same) {
			return same
		}
	}
	return p
}

// record takes the new settings over into an instance; called under mu.
func (r *refreshed) record(i *Instance, warnings []string) {
	i.Hash, i.Recreate, i.Labels = r.i.Hash, r.i.Recreate, r.i.Labels
	i.StopSignal, i.Grace = r.i.StopSignal, r.i.Grace
	if len(r.changed) > 0 {
		i.Rewritten = r.c.Now()
	}
	for _, w := range warnings {
		if !slices.Contains(i.Warnings, w) {
			i.Warnings = append(slices.Clone(i.Warnings), w)
		}
	}
	if reflect.DeepEqual(i.Check, r.i.Check) {
		return
	}
	i.Check = r.i.Check
	if i.State != StateRunning && i.State != StatePaused {
		return
	}
	r.c.unwatchHealth(i.ID)
	if i.Probe, i.Health = nil, ""; !i.Check.None() {
		i.Probe = NewProbeState(i.Check, r.c.Now())
		i.Health = i.Probe.Status
	}
}
