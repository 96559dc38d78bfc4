package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stack/runtime/image"
	"stack/spec"
)

// Volume is LIB/volumes/NAME/volume.json (0600); the data is in _data beside it,
// owned by container ids: volumes are id-mapped whole, so stacks can share them.
type Volume struct {
	Version int
	Name    string
	Project string
	Key     string            // in the stack file; empty for anonymous ones
	Hash    string            // VolumeHash of its declaration
	Labels  map[string]string `json:",omitempty"`
	// Options are those of driver local; see ParseVolumeOptions.
	Options map[string]string `json:",omitempty"`
	Created time.Time
	// Populated is set once an image's content was copied in, or a first container
	// used it without.
	Populated bool
	Anonymous bool `json:",omitempty"`
}

const volumeVersion = 1

func (l Layout) volumeDir(name string) string { return filepath.Join(l.Volumes(), name) }

// VolumeData is where a volume's files are.
func (l Layout) VolumeData(name string) string { return filepath.Join(l.volumeDir(name), "_data") }

// LoadVolume returns a volume's record; fs.ErrNotExist when there is none.
func (l Layout) LoadVolume(name string) (Volume, error) {
	var v Volume
	if err := CheckName("volume", name); err != nil {
		return v, err
	}
	err := readJSON(filepath.Join(l.volumeDir(name), "volume.json"), &v)
	return v, err
}

// SaveVolume makes the volume's directories and record.
func (l Layout) SaveVolume(v Volume) error {
	if err := CheckName("volume", v.Name); err != nil {
		return err
	}
	if err := os.MkdirAll(l.Volumes(), 0o711); err != nil {
		return err
	}
	// 0711: the container's mapped root walks through it on its way to _data.
	if err := os.MkdirAll(l.VolumeData(v.Name), 0o755); err != nil {
		return err
	}
	v.Version = volumeVersion
	return writeJSON(filepath.Join(l.volumeDir(v.Name), "volume.json"), v)
}

// ListVolumes returns every recorded volume by name.
func (l Layout) ListVolumes() ([]Volume, error) {
	entries, err := os.ReadDir(l.Volumes())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []Volume
	for _, e := range entries {
		if CheckName("volume", e.Name()) != nil {
			continue // not ours: lost+found, say
		}
		v, err := l.LoadVolume(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// HasVolumes reports whether volumes of the project are left.
func (s *Store) HasVolumes() bool {
	all, err := s.Layout.ListVolumes()
	return err != nil || slices.ContainsFunc(all, func(v Volume) bool { return v.Project == s.Project })
}

// ChangedVolumes are the names of the volumes that services mount and that were made
// from another declaration than the stack's.
func (s *Store) ChangedVolumes(st *spec.Stack, services []string) []string {
	want := Want{Wish: Wish{Stack: st}, Networks: map[string]Object{}, Volumes: map[string]Object{}}
	for _, name := range services {
		want.addObjects(st.Services[name])
	}
	hashes, _ := s.Layout.hashesOf(want.Volumes)
	var out []string
	for _, v := range want.Volumes {
		if hash := hashes[v.Name]; !v.External && hash != "" && hash != v.Hash {
			out = append(out, v.Name)
		}
	}
	slices.Sort(out)
	return out
}

// RemoveVolume deletes a volume with its data.
func (l Layout) RemoveVolume(name string) error {
	if err := CheckName("volume", name); err != nil {
		return err
	}
	if err := unmountVolume(l.VolumeData(name)); err != nil {
		return err
	}
	return os.RemoveAll(l.volumeDir(name))
}

// seenVolumes reads the volumes that matter: the wished ones, and on the way down
// all of the project's. The second map tells when they were made.
func (s *Store) seenVolumes(want Want) (hashes map[string]string, made map[string]time.Time, err error) {
	if !want.Down {
		hashes, made = s.Layout.hashesOf(want.Volumes)
		return hashes, made, nil
	}
	hashes = map[string]string{}
	all, err := s.Layout.ListVolumes()
	for _, v := range all {
		if v.Project == s.Project {
			hashes[v.Name] = v.Hash
		}
	}
	return hashes, nil, err
}

// hashesOf maps the names of those of the volumes that exist to their VolumeHash, and
// to when they were made. One without its data is none.
func (l Layout) hashesOf(volumes map[string]Object) (hashes map[string]string, made map[string]time.Time) {
	hashes, made = map[string]string{}, map[string]time.Time{}
	for _, o := range volumes {
		v, err := l.LoadVolume(o.Name)
		if _, err2 := os.Stat(l.VolumeData(o.Name)); err == nil && err2 == nil {
			hashes[o.Name], made[o.Name] = v.Hash, v.Created
		}
	}
	return hashes, made
}

func (c *Controller) makeVolume(_ context.Context, op Op) error {
	c.mu.Lock()
	stack := c.want.Stack
	c.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(stack.Volumes)) {
		cfg := stack.Volumes[key]
		if cfg.Name != op.Target {
			continue
		}
		c.emit(Event{Type: "volume", Name: op.Target, Progress: "Creating"})
		v := Volume{
			Name: cfg.Name, Project: c.Store.Project, Key: key, Hash: VolumeHash(cfg), Created: c.Now(), Options: cfg.DriverOpts,
			Labels: objectLabels(cfg.Labels, c.Store.Project, "volume", key),
		}
		err := c.Store.Layout.SaveVolume(v)
		for try := 1; try < saveTries && errors.Is(err, fs.ErrNotExist); try++ {
			err = c.Store.Layout.SaveVolume(v) // somebody is removing it, directory by directory
		}
		if err != nil {
			return fmt.Errorf("cannot create volume %q: %w", op.Target, err)
		}
		c.emit(Event{Type: "volume", Action: "create", Name: op.Target, Progress: "Created"})
		if c.mounted(op.Target) {
			fault := "volume " + op.Target + " is missing"
			c.emit(Event{Type: "volume", Action: ActionRepair, Name: op.Target, Attributes: map[string]string{"fault": fault, "name": op.Target}})
		}
		return nil
	}
	return fmt.Errorf("no such volume: %s", op.Target)
}

// saveTries is how often a volume is made that vanishes meanwhile.
const saveTries = 5

func (c *Controller) removeVolume(op Op) error {
	users, err := c.Store.Layout.VolumeInUse(op.Target, c.Now())
	if err != nil {
		return err
	}
	c.mu.Lock()
	down := c.want.Down
	c.mu.Unlock()
	switch {
	case len(users) > 0 && !down:
		return fmt.Errorf("cannot make volume %q anew: it is in use by %s", op.Target, strings.Join(users, ", "))
	case len(users) > 0:
		c.leave("volume", op.Target)
		return nil
	}
	c.emit(Event{Type: "volume", Name: op.Target, Progress: "Removing"})
	if err := c.Store.Layout.RemoveVolume(op.Target); err != nil {
		return fmt.Errorf("cannot remove volume %q: %w", op.Target, err)
	}
	c.emit(Event{Type: "volume", Action: "destroy", Name: op.Target, Progress: "Removed"})
	return nil
}

// removeAnonymous deletes the volumes that go with an instance.
func (c *Controller) removeAnonymous(i *Instance) error {
	var errs []error
	for _, name := range i.Anonymous {
		errs = append(errs, c.Store.Layout.RemoveVolume(name))
	}
	return errors.Join(errs...)
}

// VolumeUse is one volume of one container.
type VolumeUse struct {
	Name      string
	Target    string // path inside, where the image's content is looked for
	NoCopy    bool
	Anonymous bool
	Labels    map[string]string // of one that its use makes
}

// prepareVolumes makes anonymous volumes and copies image content into volumes
// used for the first time. Replicas that start together take turns.
func (c *Controller) prepareVolumes(ctx context.Context, id string, uses []VolumeUse, img image.Image) error {
	l := c.Store.Layout
	for _, u := range uses {
		if v, err := l.LoadVolume(u.Name); err == nil && v.Populated && len(v.Options) == 0 {
			continue
		}
		if err := c.populate(ctx, id, u, img); err != nil {
			return fmt.Errorf("cannot prepare volume %q: %w", u.Name, err)
		}
	}
	return nil
}

func (c *Controller) populate(ctx context.Context, id string, u VolumeUse, img image.Image) error {
	l := c.Store.Layout
	if err := os.MkdirAll(l.volumeDir(u.Name), 0o711); err != nil {
		return err
	}
	lock, err := lockFile(filepath.Join(l.volumeDir(u.Name), "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	v, err := l.LoadVolume(u.Name)
	switch {
	case err == nil && v.Populated && len(v.Options) == 0:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		v = Volume{Name: u.Name, Project: c.Store.Project, Created: c.Now(), Anonymous: u.Anonymous,
			Labels: objectLabels(u.Labels, c.Store.Project, "volume", "")}
	case err != nil:
		return err
	}
	if !v.Populated {
		if err := l.SaveVolume(v); err != nil {
			return err
		}
	}
	if err := c.fill(ctx, id, v, u, img); err != nil || v.Populated {
		return err
	}
	v.Populated = true
	return l.SaveVolume(v)
}

// fill copies the image's content into an empty volume on its first use, and into a
// tmpfs whenever it begins anew.
func (c *Controller) fill(ctx context.Context, id string, v Volume, u VolumeUse, img image.Image) error {
	src, err := c.Store.Layout.volumeSource(v.Name)
	if err != nil {
		return err
	}
	dir, wanted := c.Store.Layout.VolumeData(v.Name), !v.Populated && !u.NoCopy
	switch {
	case src.shared():
		fresh, err := c.Store.holdVolume(v.Name, id, src)
		if err != nil {
			return err
		}
		wanted = fresh && !u.NoCopy
	case src.Bind != "":
		return nil // the owner of a directory of the host fills it
	case src.Kind != "" && wanted:
		f, err := c.Mount(src.Kind, src.Device, src.Options)
		if err != nil {
			return err
		}
		defer f.Close()
		dir = fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	}
	if !wanted {
		return nil
	}
	empty, err := isEmpty(dir)
	if err == nil && empty {
		_, err = c.Images.CopyOut(ctx, img, u.Target, dir)
	}
	return err
}

// letVolumes ends an instance's use of volumes that are mounted while they are used.
func (c *Controller) letVolumes(i *Instance) {
	for _, name := range i.Volumes {
		if err := c.Store.letVolume(name, i.ID); err != nil {
			c.Log.Warn("cannot let go of a volume", "volume", name, "error", err)
		}
	}
}

func isEmpty(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}
