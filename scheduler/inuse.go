package scheduler

import (
	"fmt"
	"time"
)

// stillInUse is Docker Compose's word for what down leaves because a container that
// stays needs it. It is no failure.
const stillInUse = "Resource is still in use"

// VolumeUsers names the containers among all that mount a volume, running or not.
func VolumeUsers(all []Container, name string) []string {
	var out []string
	for _, c := range all {
		if c.UsesVolume(name) {
			out = append(out, c.Name)
		}
	}
	return out
}

// VolumeInUse names the containers of any project that mount a volume.
func (l Layout) VolumeInUse(name string, now time.Time) ([]string, error) {
	all, err := l.Containers(now)
	if err != nil {
		return nil, fmt.Errorf("cannot tell whether volume %q is in use: %w", name, err)
	}
	return VolumeUsers(all, name), nil
}

// leave takes a network or volume out of what this down removes.
func (c *Controller) leave(kind, name string) {
	c.mu.Lock()
	c.left[kind+" "+name] = true
	c.mu.Unlock()
	c.emit(Event{Type: kind, Name: name, Progress: stillInUse})
}

// withoutLeft drops from seen what a down left: it is not tried again before the
// next command. Called under mu.
func (c *Controller) withoutLeft(seen *Observed) {
	if !c.want.Down {
		return
	}
	for name := range seen.Volumes {
		if c.left["volume "+name] {
			delete(seen.Volumes, name)
		}
	}
	for key := range seen.Networks {
		if c.left["network "+c.made[key].Name] {
			delete(seen.Networks, key)
		}
	}
}

// inhabited reports whether a container of ours is on a network.
func (c *Controller) inhabited(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.made[key].ID
	for _, i := range c.instances {
		for _, e := range i.Endpoints {
			if e.Network == id && (i.live() || i.State == StateRestarting) {
				return true
			}
		}
	}
	return false
}
