package native

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

// special is a file system that shows the namespaces of whoever mounts it.
type special struct {
	kind    string // OCI mount type
	name    string // kernel's file system type
	message message
}

func specials() []special {
	return []special{
		{"proc", "proc", msgProc},
		{"sysfs", "sysfs", msgSysfs},
		{"mqueue", "mqueue", msgMqueue},
		{"cgroup", "cgroup2", msgCgroup},
	}
}

func specialOf(m message) (string, bool) {
	for _, s := range specials() {
		if s.message == m {
			return s.kind, true
		}
	}
	return "", false
}

// specialMounts makes the detached mounts that the specification wants and
// passes them to the creator. One that the kernel forbids (sysfs in a network
// namespace of another user namespace) is left out: rootfs knows what to do.
func (b *builder) specialMounts(fd stub.Arg, mounts []specs.Mount, unifiedCgroup bool) {
	for _, s := range specials() {
		for _, m := range mounts {
			if m.Type != s.kind && m.Type != s.name || s.kind == "cgroup" && !unifiedCgroup {
				continue
			}
			b.specialMount(fd, s, m)
			break
		}
	}
}

func (b *builder) specialMount(fd stub.Arg, s special, m specs.Mount) {
	do := "make a mount of type " + s.name
	p, skip := b.packet(s.message), b.Label()
	source := m.Source
	if source == "" {
		source = s.name
	}
	mount := b.detachedMount(do, s.name, append([]string{"source=" + source}, m.Options...), skip)
	b.Set(stub.Slot(p.descriptor()), mount)
	b.sendPacket(fd, p)
	b.Call(do, unix.SYS_CLOSE, mount)
	b.Place(skip)
}

// detachedMount mounts a file system nowhere and returns its descriptor; it goes
// to forbidden on EPERM.
func (b *builder) detachedMount(do, name string, options []string, forbidden stub.Label) stub.Slot {
	context, mount := b.Slot(), b.Slot()
	b.Call(do, unix.SYS_FSOPEN, b.String(name), stub.Int(unix.FSOPEN_CLOEXEC)).
		Into(context).Allow(unix.EPERM).Else(forbidden)
	flags := 0
	for _, word := range options {
		key, value, isData := strings.Cut(word, "=")
		switch word {
		case "ro":
			flags |= unix.MOUNT_ATTR_RDONLY
		case "nosuid":
			flags |= unix.MOUNT_ATTR_NOSUID
		case "nodev":
			flags |= unix.MOUNT_ATTR_NODEV
		case "noexec":
			flags |= unix.MOUNT_ATTR_NOEXEC
		}
		if isData {
			b.Call(do, unix.SYS_FSCONFIG, context, stub.Int(unix.FSCONFIG_SET_STRING), b.String(key), b.String(value), stub.Int(0))
		}
	}
	b.Call(do, unix.SYS_FSCONFIG, context, stub.Int(unix.FSCONFIG_CMD_CREATE), stub.Int(0), stub.Int(0), stub.Int(0)).
		Allow(unix.EPERM).Else(forbidden)
	b.Call(do, unix.SYS_FSMOUNT, context, stub.Int(unix.FSMOUNT_CLOEXEC), stub.Int(flags)).
		Into(mount).Allow(unix.EPERM).Else(forbidden)
	b.Call(do, unix.SYS_CLOSE, context)
	return mount
}
