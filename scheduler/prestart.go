package scheduler

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime"
	"stack/runtime/image"
)

// HookRef says which pre_start hook a container runs, and for which replica.
type HookRef struct {
	Step int
	// Replica is the ID of the replica whose start waits for it, Name its name.
	Replica string
	Name    string
}

// hookName is the container name of a pre_start hook: PROJECT-SERVICE-pre_start-STEP
// as Docker Compose has it, with the replica's number where every replica has one.
func hookName(project string, svc types.ServiceConfig, step, number int) string {
	name := strings.Join([]string{project, svc.Name, "pre_start", strconv.Itoa(step)}, "-")
	if svc.PreStart[step].PerReplica {
		name += "-" + strconv.Itoa(number)
	}
	return name
}

// Apply returns the service as this container sees it: as it is for a replica, with
// the command line's changes for a run, a specification of its own for a hook.
func (i *Instance) Apply(svc types.ServiceConfig) types.ServiceConfig {
	switch {
	case i.Hook != nil && i.Hook.Step < len(svc.PreStart):
		return hookService(svc, i.Hook.Step)
	case i.Run != nil:
		return i.Run.Apply(svc)
	}
	return svc
}

// hookService is a hook as a service. compose-go has laid its keys over the
// service's already; volumes are shared at launch (see launch.shareVolumes).
func hookService(svc types.ServiceConfig, step int) types.ServiceConfig {
	out := types.ServiceConfig{Name: svc.Name, ContainerSpec: svc.PreStart[step].ContainerSpec}
	RunOptions{}.network(&out)
	return out
}

// hookImage resolves the image of a hook's container.
func (c *Controller) hookImage(ctx context.Context, i *Instance) (image.Image, error) {
	c.mu.Lock()
	svc := c.want.Stack.Services[i.Service]
	c.mu.Unlock()
	if i.Hook.Step >= len(svc.PreStart) {
		return image.Image{}, errHookGone(i)
	}
	hook := svc.PreStart[i.Hook.Step]
	if hook.Image == svc.Image && hook.Platform == svc.Platform {
		return c.image(ctx, i.Service)
	}
	return c.imageOf(ctx, i.Service, hook.Image, hook.Platform)
}

func errHookGone(i *Instance) error {
	return fmt.Errorf("pre_start hook %d of service %q is not in the file any more", i.Hook.Step, i.Service)
}

// newHook records the container of a pre_start hook; the loop starts it.
func (c *Controller) newHook(ctx context.Context, op Op) error {
	replica, ok := c.replicaNamed(op.Service, op.Number)
	if !ok {
		return nil // the next turn sees why
	}
	ref := HookRef{Step: op.Hook.Step, Replica: replica.ID, Name: replica.Name}
	i := &Instance{ID: newID(), Name: op.Target, Service: op.Service, OneOff: true, Hook: &ref, State: StateCreated}
	img, err := c.hookImage(ctx, i)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	svc, ok := c.want.Stack.Services[op.Service]
	if !ok || ref.Step >= len(svc.PreStart) {
		return nil
	}
	i.Hash, i.Image, i.Digest = c.want.Hashes[op.Service], svc.PreStart[ref.Step].Image, img.Digest
	i.Created, i.CreatedSeq, i.WantStart = c.Now(), c.want.Sequence, c.want.Sequence
	if err := c.describe(i, i.Apply(svc), img); err != nil {
		return err
	}
	if err := c.Store.SaveInstance(i); err != nil {
		return err
	}
	c.instances[i.ID] = i
	c.detail(i, i.Apply(svc), img)
	c.publish(i, Event{Action: "create", Progress: "Created"})
	return nil
}

// replicaNamed returns a copy of a service's replica.
func (c *Controller) replicaNamed(service string, number int) (Instance, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.instances {
		if i.Service == service && i.Number == number && !i.OneOff && !i.Discard {
			return *i, true
		}
	}
	return Instance{}, false
}

// hookEnded notes why a hook failed; called under mu.
func (c *Controller) hookEnded(i *Instance, exit runtime.Exit) {
	if i.Hook == nil || exit.Code == 0 {
		return
	}
	command := ""
	if svc := c.want.Stack.Services[i.Service]; i.Hook.Step < len(svc.PreStart) {
		command = fmt.Sprintf(" %q", strings.Join(svc.PreStart[i.Hook.Step].Command, " "))
	}
	code := strconv.Itoa(exit.Code)
	if exit.Unknown {
		code = "unknown"
	}
	i.HookError = fmt.Sprintf("pre_start hook %d%s of service %q exited with code %s", i.Hook.Step, command, i.Service, code)
}

// shareVolumes gives a hook the volumes of the replica that it prepares, filled from
// the replica's image first, as if it had been started.
func (l *launch) shareVolumes(ctx context.Context) ([]UserMount, error) {
	c := l.c
	replica, ok := c.instance(l.i.Hook.Replica)
	if !ok {
		return nil, fmt.Errorf("container %s is gone", l.i.Hook.Name)
	}
	img, err := c.image(ctx, replica.Service)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	svc := c.want.Stack.Services[replica.Service]
	from, err := c.mountsOf(l.stack, svc)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	mounts, err := UserMounts(l.stack, svc, img, replica.Name, from)
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		if m.Type == types.VolumeTypeBind {
			if _, err := l.c.Store.bindOwner(m); err != nil { // makes it, where the file allows
				return nil, err
			}
		}
	}
	uses, volumes, anonymous := volumeUses(mounts)
	c.update(replica.ID, func(i *Instance) { i.Volumes, i.Anonymous = volumes, anonymous })
	return mounts, c.prepareVolumes(ctx, l.i.ID, uses, img)
}

// volumeUses are the volumes among mounts, with the names of all and of the
// anonymous ones.
func volumeUses(mounts []UserMount) (uses []VolumeUse, all, anonymous []string) {
	for _, m := range mounts {
		if m.Type != types.VolumeTypeVolume {
			continue
		}
		uses = append(uses, VolumeUse{Name: m.Source, Target: m.Target, NoCopy: m.NoCopy, Anonymous: m.Anonymous, Labels: m.Labels})
		all = append(all, m.Source)
		if m.Anonymous {
			anonymous = append(anonymous, m.Source)
		}
	}
	return uses, all, anonymous
}

// hookFrom adds the replica's mounts to what a hook inherits.
func (l *launch) hookFrom(ctx context.Context, from map[string][]UserMount) error {
	mounts, err := l.shareVolumes(ctx)
	if err != nil {
		return err
	}
	ref := types.ContainerPrefix + l.i.Hook.Name
	from[ref] = mounts
	if !slices.Contains(l.svc.VolumesFrom, ref) {
		l.svc.VolumesFrom = append(slices.Clone(l.svc.VolumesFrom), ref)
	}
	return nil
}
