package scheduler

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

var (
	// ErrNoContainer says that no project has a container of a name or ID.
	ErrNoContainer = errors.New("no such container")
	// ErrAmbiguous says that the beginning of an ID fits several containers.
	ErrAmbiguous = errors.New("several containers match")
)

// Container is an instance and the store of the project it belongs to.
type Container struct {
	*Instance
	Store *Store
}

// Containers lists the containers of every project by name, each as Current tells
// it. What cannot be read of one project is an error beside the others' containers.
func (l Layout) Containers(now time.Time) ([]Container, error) {
	projects, err := l.Projects()
	if err != nil {
		return nil, err
	}
	var out []Container
	var errs []error
	for _, name := range projects {
		s := &Store{Layout: l, Project: name}
		all, err := s.Current(now)
		if err != nil {
			errs = append(errs, fmt.Errorf("project %q: %w", name, err))
			continue
		}
		for _, i := range all {
			out = append(out, Container{Instance: i, Store: s})
		}
	}
	slices.SortStableFunc(out, func(a, b Container) int { return compareNames(a.Name, b.Name) })
	return out, errors.Join(errs...)
}

// FindContainer chooses from all by name, ID or the beginning of an ID.
// Errors: ErrNoContainer, ErrAmbiguous.
func FindContainer(all []Container, name string) (Container, error) {
	var match []Container
	for _, c := range all {
		if c.Name == name || c.ID == name {
			return c, nil
		}
		if name != "" && strings.HasPrefix(c.ID, name) {
			match = append(match, c)
		}
	}
	switch len(match) {
	case 0:
		return Container{}, fmt.Errorf("%w: %s", ErrNoContainer, name)
	case 1:
		return match[0], nil
	}
	return Container{}, fmt.Errorf("%w %s", ErrAmbiguous, name)
}

// UsesVolume reports whether the container mounts a volume, running or not.
func (c Container) UsesVolume(name string) bool {
	if slices.Contains(c.Volumes, name) {
		return true
	}
	d, err := c.Store.LoadDetails(c.ID)
	return err == nil && slices.ContainsFunc(d.Mounts, func(m UserMount) bool { return m.Type == "volume" && m.Source == name })
}

// Layers are the image layers that the container shows, nil when they are not
// recorded (a container of an earlier version that was not started since).
func (c Container) Layers() ([]string, error) {
	d, err := c.Store.LoadDetails(c.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return slices.Concat(d.Image.Layers, d.Layers), err
}
