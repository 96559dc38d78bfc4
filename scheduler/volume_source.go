package scheduler

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Source is what the volume's options say it is.
func (v Volume) Source() (VolumeSource, error) {
	s, err := ParseVolumeOptions(v.Options)
	if err != nil {
		return s, fmt.Errorf("volume %q: %w", v.Name, err)
	}
	return s, nil
}

// volumeSource is that of a recorded volume, servers looked up; of one that is not
// recorded yet, a directory of ours.
func (l Layout) volumeSource(name string) (VolumeSource, error) {
	v, err := l.LoadVolume(name)
	if errors.Is(err, fs.ErrNotExist) {
		return VolumeSource{}, nil
	}
	if err != nil {
		return VolumeSource{}, err
	}
	s, err := v.Source()
	if err != nil {
		return s, err
	}
	return s.resolved(net.LookupIP)
}

// locate tells where the volume of a mount is.
func (s *Store) locate(in *TranslateInput, m UserMount) error {
	in.Volumes[m.Source] = s.Layout.VolumeData(m.Source)
	src, err := s.Layout.volumeSource(m.Source)
	if err != nil || src.Plain() || src.shared() {
		return err
	}
	if src.Bind != "" {
		if in.Owners[src.Bind], err = s.bindOwner(UserMount{Source: src.Bind, Target: m.Target}); err != nil {
			return err
		}
	}
	in.Filesystems[m.Source] = src
	return nil
}

// sourceMount mounts a volume that is a file system of its own inside the
// container's mount namespace alone: it goes with the container, whoever is killed.
func (t *translator) sourceMount(m UserMount, s VolumeSource) (specs.Mount, error) {
	if s.Bind != "" {
		b := m
		b.Source = s.Bind
		out, err := t.bindMount(b)
		out.Options = append(out.Options, s.Options...)
		return withSubpath(out, m.Subpath), err
	}
	out := specs.Mount{Destination: m.Target, Type: s.Kind, Source: s.Device, Options: append([]string{"nodev"}, s.Options...)}
	if m.ReadOnly {
		out.Options = append(out.Options, "rro") // of this mount: the file system may be another's too
	}
	if t.ids != nil {
		out.UIDMappings, out.GIDMappings = t.ids.mapping(), t.ids.mapping()
	}
	return withSubpath(out, m.Subpath), nil
}

func withSubpath(m specs.Mount, sub string) specs.Mount {
	if sub != "" {
		m.Options = append(m.Options, "subpath="+sub)
	}
	return m
}

// A volume of type tmpfs is mounted at its VolumeData while containers use it, of
// whatever project. Each has an empty file LIB/volumes/NAME/users/PROJECT.ID, made
// under the volume's lock before the mount and removed once the container ended; one
// whose container is recorded no more counts for nothing.

func (l Layout) usersDir(name string) string { return filepath.Join(l.volumeDir(name), "users") }

// holdVolume mounts a tmpfs volume for a container, if nobody has; fresh tells so.
// The caller has the volume's lock.
func (s *Store) holdVolume(name, id string, src VolumeSource) (fresh bool, err error) {
	dir := s.Layout.VolumeData(name)
	if err := os.MkdirAll(s.Layout.usersDir(name), 0o700); err != nil {
		return false, err
	}
	user := filepath.Join(s.Layout.usersDir(name), s.Project+"."+id)
	if err := os.WriteFile(user, nil, 0o600); err != nil {
		return false, err
	}
	if isMountPoint(dir) {
		return false, nil
	}
	flags, data := mountFlags(src.Options)
	if err := syscall.Mount(src.Device, dir, src.Kind, flags, data); err != nil {
		return false, fmt.Errorf("cannot mount %s with options %q: %w", src.Kind, strings.Join(src.Options, ","), err)
	}
	return true, nil
}

// letVolume ends a container's use of a tmpfs volume and unmounts it after the last.
func (s *Store) letVolume(name, id string) error {
	l := s.Layout
	user := filepath.Join(l.usersDir(name), s.Project+"."+id)
	if _, err := os.Stat(user); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := lockFile(filepath.Join(l.volumeDir(name), "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := os.Remove(user); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	left, err := os.ReadDir(l.usersDir(name))
	if err != nil {
		return err
	}
	for _, e := range left {
		project, id, _ := strings.Cut(e.Name(), ".")
		if other := (&Store{Layout: l, Project: project}); other.hasInstance(id) {
			return nil
		}
	}
	if err := os.RemoveAll(l.usersDir(name)); err != nil {
		return err
	}
	return unmountVolume(l.VolumeData(name))
}

// unmountVolume is a no-op where nothing is mounted.
func unmountVolume(dir string) error {
	if !isMountPoint(dir) {
		return nil
	}
	const noFollow = 8 // UMOUNT_NOFOLLOW
	if err := syscall.Unmount(dir, syscall.MNT_DETACH|noFollow); err != nil {
		return fmt.Errorf("cannot unmount %s: %w", dir, err)
	}
	return nil
}

// isMountPoint reports whether another file system than its parent's is at dir.
func isMountPoint(dir string) bool {
	var own, above syscall.Stat_t
	return syscall.Lstat(dir, &own) == nil && syscall.Lstat(filepath.Dir(dir), &above) == nil && own.Dev != above.Dev
}

func (s *Store) hasInstance(id string) bool {
	_, err := os.Stat(filepath.Join(s.instances(), id+".json"))
	return err == nil
}

// mountFlags splits words of mount(8) into mount(2)'s flags and data.
func mountFlags(words []string) (flags uintptr, data string) {
	known := map[string]uintptr{"ro": syscall.MS_RDONLY, "nosuid": syscall.MS_NOSUID, "nodev": syscall.MS_NODEV,
		"noexec": syscall.MS_NOEXEC, "noatime": syscall.MS_NOATIME, "nodiratime": syscall.MS_NODIRATIME,
		"relatime": syscall.MS_RELATIME, "strictatime": syscall.MS_STRICTATIME, "sync": syscall.MS_SYNCHRONOUS,
		"rw": 0, "suid": 0, "dev": 0, "exec": 0, "atime": 0, "async": 0}
	var rest []string
	for _, w := range words {
		if f, ok := known[w]; ok {
			flags |= f
		} else {
			rest = append(rest, w)
		}
	}
	return flags, strings.Join(rest, ",")
}
