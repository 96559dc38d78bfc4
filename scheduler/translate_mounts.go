package scheduler

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// defaultShm is Docker's size of /dev/shm.
const defaultShm = 64 << 20

// root puts the image's layers together. The upper directory stays even where
// the root is read-only: mount points are made in it.
func (t *translator) root() (err error) {
	t.spec.Root.Readonly = t.s.ReadOnly
	t.out.Root = runtime.RootFS{
		Upper: path.Join(t.in.Layer, "upper"),
		Work:  path.Join(t.in.Layer, "work"),
	}
	t.out.Root.Lowers, t.out.Root.NoLinks = t.layersOf(t.in.Image)
	for i, o := range t.in.Image.Overlays {
		if dir := path.Join(t.in.Layer, fmt.Sprintf("overlay-%d", i)); !t.s.ReadOnly {
			o.Upper, o.Work = path.Join(dir, "upper"), path.Join(dir, "work")
		}
		t.out.Root.Overlays = append(t.out.Root.Overlays, o)
	}
	t.out.Root.Size, err = storageSize(t.s.StorageOpt)
	return err
}

// storageSize is what storage_opt lets a writable layer hold, 0 without bound.
func storageSize(options map[string]string) (int64, error) {
	text, ok := options["size"]
	if !ok {
		return 0, nil
	}
	size, err := units.RAMInBytes(text)
	if err != nil || size <= 0 {
		return 0, fmt.Errorf("cannot use storage_opt size %q: it is no size, such as 1g", text)
	}
	return size, nil
}

func (t *translator) mounts() (err error) {
	t.out.Mounts, err = UserMounts(t.in.Project, t.s, t.in.Image, t.in.Instance.Name, t.in.VolumesFrom)
	if err != nil {
		return err
	}
	for _, m := range t.standardMounts() {
		if !t.covered(m.Destination) {
			t.spec.Mounts = append(t.spec.Mounts, m)
		}
	}
	for _, m := range t.out.Mounts {
		sm, err := t.userMounts(m)
		if err != nil {
			return fmt.Errorf("mount at %s: %w", m.Target, err)
		}
		t.spec.Mounts = append(t.spec.Mounts, sm...)
	}
	return nil
}

// covered says whether the user mounts something there or above.
func (t *translator) covered(target string) bool {
	return slices.ContainsFunc(t.out.Mounts, func(m UserMount) bool {
		return m.Target == target || strings.HasPrefix(target, m.Target+"/")
	})
}

func (t *translator) standardMounts() []specs.Mount {
	quiet := []string{"nosuid", "noexec", "nodev"}
	sys, pts := append([]string{"ro"}, quiet...), []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
	if t.s.Privileged {
		sys = quiet
	}
	if t.ids == nil || t.ids.Size > 5 {
		pts = append(pts, "gid=5") // tty
	}
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: quiet},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: pts},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: sys},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: sys},
	}
	return append(mounts, t.ipcMounts(quiet)...)
}

// ipcMounts are the file systems that show what an IPC namespace holds; who
// shares the namespace shares /dev/shm.
func (t *translator) ipcMounts(quiet []string) []specs.Mount {
	mqueue := specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: quiet}
	shm := specs.Mount{Destination: "/dev/shm", Type: "bind", Options: append([]string{"rbind"}, quiet...)}
	switch {
	case t.s.Ipc == "none":
		return []specs.Mount{mqueue}
	case t.s.Ipc == hostMode:
		mqueue.Type, mqueue.Source, mqueue.Options = "bind", "/dev/mqueue", shm.Options
		shm.Source = "/dev/shm"
		return []specs.Mount{mqueue, shm}
	case isPeerRef(t.s.Ipc) && t.in.Peers[t.s.Ipc].Shm != "":
		shm.Source = t.in.Peers[t.s.Ipc].Shm
		return []specs.Mount{mqueue, shm}
	case isPeerRef(t.s.Ipc):
		t.warn("%s has no /dev/shm to share", t.s.Ipc)
	}
	size := cmp.Or(int64(t.s.ShmSize), defaultShm)
	shm.Type, shm.Source = "tmpfs", "shm"
	shm.Options = append(slices.Clone(quiet), "mode=1777", fmt.Sprintf("size=%d", size))
	return []specs.Mount{mqueue, shm}
}

func (t *translator) userMounts(m UserMount) ([]specs.Mount, error) {
	if m.Type == types.VolumeTypeImage {
		return t.imageMounts(m)
	}
	one, err := t.userMount(m)
	return []specs.Mount{one}, err
}

func (t *translator) userMount(m UserMount) (specs.Mount, error) {
	switch m.Type {
	case types.VolumeTypeBind:
		return t.bindMount(m)
	case types.VolumeTypeVolume:
		return t.namedMount(m)
	}
	options, err := tmpfsOptions(m.Options)
	if m.ReadOnly {
		options = append(options, "ro")
	}
	return specs.Mount{Destination: m.Target, Type: "tmpfs", Source: "tmpfs", Options: options}, err
}

func (t *translator) bindMount(m UserMount) (specs.Mount, error) {
	out := specs.Mount{Destination: m.Target, Type: "bind", Source: m.Source, Options: []string{"rbind"}}
	if m.Recursive == "disabled" {
		out.Options[0] = "bind"
	}
	if m.ReadOnly {
		out.Options = append(out.Options, "ro")
		if out.Options[0] == "rbind" && m.Recursive != "writable" {
			out.Options = append(out.Options, "rro") // what is mounted below too
		}
	}
	out.Options = append(out.Options, cmp.Or(m.Propagation, types.PropagationRPrivate))
	if err := t.propagate(m.Propagation); err != nil {
		return out, err
	}
	for _, v := range t.s.Volumes {
		if path.Clean(v.Target) == m.Target && v.Bind != nil && v.Bind.SELinux != "" {
			t.warn("mount at %s: the SELinux option %q is ignored", m.Target, v.Bind.SELinux)
		}
	}
	err := t.mapBind(&out)
	if real := t.in.Real[m.Source]; real != "" {
		out.Source = real
		if t.refusesLinks() {
			out.Options = append(out.Options, "nosymlinks") // somebody may put one there until then
		}
	}
	return out, err
}

// refusesLinks reports whether the runtime knows the mount option nosymlinks.
func (t *translator) refusesLinks() bool { return t.s.Runtime == "" && !isMachine(t.s) }

// mapBind maps the ids of a bind two ways: the container's user is the source's
// owner, everybody else a subordinate id.
func (t *translator) mapBind(m *specs.Mount) error {
	if t.ids == nil {
		return nil
	}
	owner, ok := t.in.Owners[m.Source]
	if !ok {
		return fmt.Errorf("bind source %q does not exist", m.Source)
	}
	if owner.Plain {
		t.warn("mount at %s: the file system of %q cannot be id-mapped, so its files belong to nobody inside (userns_mode: host lifts this)", m.Destination, m.Source)
		return nil
	}
	user := t.spec.Process.User
	m.UIDMappings = BindMapping(user.UID, owner.UID, *t.ids)
	m.GIDMappings = BindMapping(user.GID, owner.GID, *t.ids)
	return nil
}

// propagate gives the root the propagation that a mount inside needs.
func (t *translator) propagate(mode string) error {
	rank := []string{"", types.PropagationRSlave, types.PropagationRShared}
	need := ""
	switch mode {
	case "", types.PropagationPrivate, types.PropagationRPrivate:
	case types.PropagationSlave, types.PropagationRSlave:
		need = types.PropagationRSlave
	case types.PropagationShared, types.PropagationRShared:
		need = types.PropagationRShared
	default:
		return fmt.Errorf("propagation %q is not known", mode)
	}
	if slices.Index(rank, need) > slices.Index(rank, t.spec.Linux.RootfsPropagation) {
		t.spec.Linux.RootfsPropagation = need
	}
	return nil
}

// namedMount binds a volume's directory. Volumes hold container ids on disk, so
// the whole range is mapped. A subpath is the runtime's to resolve, inside the
// volume: a link that a container put there must not lead out.
func (t *translator) namedMount(m UserMount) (specs.Mount, error) {
	if m.Subpath != "" && !filepath.IsLocal(m.Subpath) {
		return specs.Mount{}, fmt.Errorf("subpath %q leads out of the volume", m.Subpath)
	}
	if s, ok := t.in.Filesystems[m.Source]; ok {
		return t.sourceMount(m, s)
	}
	dir, ok := t.in.Volumes[m.Source]
	if !ok {
		return specs.Mount{}, fmt.Errorf("no such volume: %s", m.Source)
	}
	out := specs.Mount{Destination: m.Target, Type: "bind", Source: dir, Options: []string{"rbind", types.PropagationRPrivate}}
	if m.ReadOnly {
		out.Options = append(out.Options, "ro", "rro")
	}
	out = withSubpath(out, m.Subpath)
	if t.ids != nil {
		out.UIDMappings, out.GIDMappings = t.ids.mapping(), t.ids.mapping()
	}
	return out, nil
}

// tmpfsOptions merges options over Docker's noexec, nosuid and nodev; the last of
// contradicting ones wins.
func tmpfsOptions(in []string) ([]string, error) {
	opposite := map[string]string{"exec": "noexec", "noexec": "exec", "suid": "nosuid", "nosuid": "suid",
		"dev": "nodev", "nodev": "dev", "ro": "rw", "rw": "ro", "atime": "noatime", "noatime": "atime",
		"diratime": "nodiratime", "nodiratime": "diratime", "relatime": "norelatime", "norelatime": "relatime",
		"strictatime": "nostrictatime", "nostrictatime": "strictatime"}
	keys := []string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"}
	out := []string{"noexec", "nosuid", "nodev"}
	for _, o := range in {
		key, _, valued := strings.Cut(o, "=")
		switch {
		case valued && slices.Contains(keys, key):
			out = slices.DeleteFunc(out, func(p string) bool { return strings.HasPrefix(p, key+"=") })
		case !valued && opposite[o] != "":
			out = slices.DeleteFunc(out, func(p string) bool { return p == opposite[o] || p == o })
		default:
			return nil, fmt.Errorf("tmpfs option %q is not known", o)
		}
		out = append(out, o)
	}
	return out, nil
}
