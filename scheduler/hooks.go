package scheduler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/image"
)

// postStart runs the post_start hooks of a replica that just started. A failing
// one fails the command that started it; the replica stays.
func (c *Controller) postStart(ctx context.Context, i *Instance) error {
	for _, h := range c.hooks(i, func(s types.ServiceConfig) []types.ServiceHook { return s.PostStart }) {
		if err := c.hook(ctx, i, h, hookPatience); err != nil {
			err = fmt.Errorf("post_start hook %w", err)
			c.update(i.ID, func(r *Instance) { r.HookError = err.Error() })
			return err
		}
	}
	return nil
}

// preStop runs the pre_stop hooks within the replica's grace.
func (c *Controller) preStop(ctx context.Context, i *Instance, deadline time.Time) error {
	if i.State != StateRunning || i.OneOff {
		return nil
	}
	for _, h := range c.hooks(i, func(s types.ServiceConfig) []types.ServiceHook { return s.PreStop }) {
		left := max(deadline.Sub(c.Now()), time.Millisecond)
		if err := c.hook(ctx, i, h, left); err != nil {
			return fmt.Errorf("pre_stop hook %w", err)
		}
	}
	return nil
}

// hookPatience bounds a hook that has no deadline of its own.
const hookPatience = 10 * time.Minute

func (c *Controller) hooks(i *Instance, pick func(types.ServiceConfig) []types.ServiceHook) []types.ServiceHook {
	if i.OneOff {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return pick(c.serviceOf(i))
}

// hook runs one hook inside the container.
func (c *Controller) hook(ctx context.Context, i *Instance, h types.ServiceHook, timeout time.Duration) error {
	name := fmt.Sprintf("%q of %s", strings.Join(h.Command, " "), i.Name)
	process, err := c.Store.LoadProcess(i.ID)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	process.Args, process.Terminal = h.Command, false
	if h.WorkingDir != "" {
		process.Cwd = h.WorkingDir
	}
	env := envList(process.Env)
	for _, k := range slices.Sorted(maps.Keys(h.Environment)) {
		if v := h.Environment[k]; v != nil {
			env.set(k, *v)
		}
	}
	process.Env = env
	if h.User != "" {
		if process.User, err = c.userIn(ctx, i, h.User); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if h.Privileged {
		all := allCapabilities()
		process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
	}
	code, out, err := c.execute(ctx, i.ID, process, timeout)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case code != 0:
		if out = strings.TrimSpace(out); out != "" {
			out = ": " + out
		}
		return fmt.Errorf("%s exited with code %d%s", name, code, out)
	}
	return nil
}

// userIn looks a user up in the instance's image.
func (c *Controller) userIn(ctx context.Context, i *Instance, name string) (specs.User, error) {
	img, err := c.image(ctx, i.Service)
	if err != nil {
		return specs.User{}, err
	}
	user, _, err := image.LookupUser(img, name, nil)
	return user, err
}
