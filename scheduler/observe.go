package scheduler

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"stack/runtime"
	"stack/runtime/shim"
)

// observe brings instances up to date with the exit records.
func (c *Controller) observe(ctx context.Context, now time.Time) {
	look := c.look.Swap(false)
	for _, i := range c.instances {
		if !i.live() {
			continue
		}
		if look || i.unread {
			if exit, ended := c.exitOf(ctx, i); ended {
				c.exited(ctx, i, exit, now)
				continue
			}
		}
		if i.reached() < c.want.Sequence && i.State == StateRunning && !c.working(OpStop, i.ID) {
			i.LiveSeq = c.want.Sequence
			c.save(i)
		}
		c.watchHealth(ctx, i)
		c.watchMemory(ctx, i)
	}
}

// exitOf reads the exit record of a live instance. A container that is gone with no
// record (its parent died too) ended with an unknown code.
func (c *Controller) exitOf(ctx context.Context, i *Instance) (runtime.Exit, bool) {
	// The record may be an earlier run's: it counts when the start has ended.
	if c.working(OpStart, i.ID) {
		return runtime.Exit{}, false
	}
	i.unread = false
	var rec shim.ExitRecord
	err := readJSON(c.Store.ExitPath(i.ID), &rec)
	switch {
	case err == nil:
		return rec.Exit, true
	case !errors.Is(err, fs.ErrNotExist):
		c.Log.Warn("cannot read exit record", "container", i.Name, "error", err)
	}
	return runtime.Exit{}, false
}

// working reports whether such an operation on the instance is under way.
func (c *Controller) working(kind Kind, id string) bool {
	for _, op := range c.inFlight {
		if op.Kind == kind && op.Instance == id {
			return true
		}
	}
	return false
}

// exited takes note of the end of a container and clears what it left in the kernel.
func (c *Controller) exited(ctx context.Context, i *Instance, exit runtime.Exit, now time.Time) {
	if st, err := c.Runtime.State(ctx, i.ID); err == nil && st.OOMKilled > 0 {
		exit.OOMKilled = true
	}
	if exit.At.IsZero() {
		exit.At = now
	}
	c.unwatchHealth(i.ID)
	i.Exited(exit, c.policy(i), now)
	c.hookEnded(i, exit)
	c.save(i)
	c.publishExit(i, exit)
	c.cleanUp(ctx, i)
}

// cleanUp removes the kernel side of a container that ended: stray processes,
// cgroups, links. Its lease, writable layer and log stay.
func (c *Controller) cleanUp(ctx context.Context, i *Instance) {
	id, name, ended := i.ID, i.Name, *i
	op := Op{ID: "clean up " + name, Kind: OpCleanUp, Target: name, Service: i.Service, Instance: id}
	c.inFlight[op.ID] = op
	c.spawn(func() {
		defer c.finish(op, nil)
		if err := c.Runtime.Delete(ctx, id, true); err != nil && !errors.Is(err, runtime.ErrNotFound) {
			c.Log.Warn("cannot clean up container", "container", name, "error", err)
		}
		c.withdraw(ctx, &ended)
	})
}

// observed is the world as Reconcile wants it.
func (c *Controller) observed() Observed {
	seen := Observed{
		Networks: c.seenNetworks(),
		Digests:  map[string]string{}, Sources: map[string]map[string]string{}, InFlight: map[string]string{}, Failed: c.failed,
		Updates: updates(c.histories),
	}
	var err error
	if seen.Volumes, seen.VolumesMade, err = c.Store.seenVolumes(c.want); err != nil {
		c.Log.Warn("cannot list volumes", "error", err)
	}
	for _, i := range c.instances {
		seen.Instances = append(seen.Instances, i)
	}
	slices.SortFunc(seen.Instances, func(a, b *Instance) int { return compareNames(a.Name, b.Name) })
	seen.Vacant = vacantNetworks(c.made, seen.Instances)
	for service, img := range c.images {
		seen.Digests[service] = ""
		if c.looked[service] {
			seen.Digests[service] = img.Digest
			seen.Sources[service] = c.sources[service]
		}
	}
	for id, op := range c.inFlight {
		seen.InFlight[id] = op.Service
	}
	c.withoutLeft(&seen)
	return seen
}

func (c *Controller) policy(i *Instance) RestartPolicy {
	return ParseRestart(c.serviceOf(i))
}

// save records an instance that is not forgotten yet; called under mu. A full disk
// must not stop the loop, so it is told and the record in memory stays
// authoritative until the next save.
func (c *Controller) save(i *Instance) {
	if c.instances[i.ID] != i {
		return
	}
	if err := c.Store.SaveInstance(i); err != nil {
		c.Log.Error("cannot record instance", "container", i.Name, "error", err)
	}
}
