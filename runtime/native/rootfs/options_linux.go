package rootfs

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// options are the words of an OCI mount, sorted by what they act on.
type options struct {
	top, all    attrChange // the mount itself; it and every mount below
	propagation []propagation
	bind        bool
	recursive   bool // rbind
	idmap       bool // idmap, ridmap
	ridmap      bool
	copyUp      bool
	subpath     string
	noLinks     bool     // the source's path may have none
	data        []string // for the file system
}

type propagation struct {
	kind      uint64
	recursive bool
}

// attrChange is a change of MOUNT_ATTR_ flags.
type attrChange struct{ set, clear uint64 }

func (c *attrChange) add(set, clear uint64) {
	c.set = c.set&^clear | set
	c.clear = c.clear&^set | clear
}

// attributes gives, for a word without its recursive prefix "r", the flags to
// set and to clear.
func attributes(word string) (set, clear uint64, ok bool) {
	const atime = unix.MOUNT_ATTR__ATIME
	switch word {
	case "ro":
		return unix.MOUNT_ATTR_RDONLY, 0, true
	case "rw":
		return 0, unix.MOUNT_ATTR_RDONLY, true
	case "nosuid":
		return unix.MOUNT_ATTR_NOSUID, 0, true
	case "suid":
		return 0, unix.MOUNT_ATTR_NOSUID, true
	case "nodev":
		return unix.MOUNT_ATTR_NODEV, 0, true
	case "dev":
		return 0, unix.MOUNT_ATTR_NODEV, true
	case "noexec":
		return unix.MOUNT_ATTR_NOEXEC, 0, true
	case "exec":
		return 0, unix.MOUNT_ATTR_NOEXEC, true
	case "nosymfollow":
		return unix.MOUNT_ATTR_NOSYMFOLLOW, 0, true
	case "symfollow":
		return 0, unix.MOUNT_ATTR_NOSYMFOLLOW, true
	case "nodiratime":
		return unix.MOUNT_ATTR_NODIRATIME, 0, true
	case "diratime":
		return 0, unix.MOUNT_ATTR_NODIRATIME, true
	case "noatime":
		return unix.MOUNT_ATTR_NOATIME, atime, true
	case "strictatime":
		return unix.MOUNT_ATTR_STRICTATIME, atime, true
	case "relatime", "atime", "norelatime", "nostrictatime":
		return 0, atime, true
	}
	return 0, 0, false
}

func propagationOf(word string) (propagation, bool) {
	name, recursive := strings.CutPrefix(word, "r")
	switch name {
	case "private":
		return propagation{unix.MS_PRIVATE, recursive}, true
	case "slave":
		return propagation{unix.MS_SLAVE, recursive}, true
	case "shared":
		return propagation{unix.MS_SHARED, recursive}, true
	case "unbindable":
		return propagation{unix.MS_UNBINDABLE, recursive}, true
	}
	return propagation{}, false
}

func parseOptions(words []string) options {
	var o options
	for _, word := range words {
		if !o.attribute(word) && !o.keyword(word) {
			o.data = append(o.data, word)
		}
	}
	return o
}

func (o *options) attribute(word string) bool {
	if set, clear, ok := attributes(word); ok {
		o.top.add(set, clear)
		return true
	}
	if bare, ok := strings.CutPrefix(word, "r"); ok {
		if set, clear, ok := attributes(bare); ok {
			o.all.add(set, clear)
			return true
		}
	}
	return false
}

func (o *options) keyword(word string) bool {
	if p, ok := propagationOf(word); ok {
		o.propagation = append(o.propagation, p)
		return true
	}
	switch word {
	case "bind":
		o.bind = true
	case "rbind":
		o.bind, o.recursive = true, true
	case "idmap":
		o.idmap = true
	case "ridmap":
		o.idmap, o.ridmap = true, true
	case "nosymlinks":
		o.noLinks = true
	case "tmpcopyup":
		o.copyUp = true
	case "defaults", "nocopy", "z", "Z", "consistent", "cached", "delegated":
	default:
		path, ok := strings.CutPrefix(word, "subpath=")
		if ok {
			o.subpath = path
		}
		return ok
	}
	return true
}

// flags are the MOUNT_ATTR_ flags of a new file system's mount.
func (o *options) flags() uint64 { return (o.top.set|o.all.set)&^unix.MOUNT_ATTR__ATIME | o.atime() }

// atime: fsmount(2) takes one value, the last word wins.
func (o *options) atime() uint64 {
	if o.top.set&unix.MOUNT_ATTR__ATIME != 0 {
		return o.top.set & unix.MOUNT_ATTR__ATIME
	}
	return o.all.set & unix.MOUNT_ATTR__ATIME
}

// apply changes a mount, detached or attached, as the words say.
func (o *options) apply(fd int, userNS bool) error {
	if o.all != (attrChange{}) {
		if err := setAttr(fd, true, unix.MountAttr{Attr_set: o.all.set, Attr_clr: o.all.clear}); err != nil {
			return fmt.Errorf("cannot change the mount and those below: %w", err)
		}
	}
	if o.top != (attrChange{}) {
		if err := setAttr(fd, false, unix.MountAttr{Attr_set: o.top.set, Attr_clr: o.top.clear}); err != nil {
			return fmt.Errorf("cannot change the mount: %w", err)
		}
	}
	return propagate(fd, o.propagation, userNS)
}

// propagate sets how mount events travel. A mount of a user namespace never
// shares with the host: it becomes the host's slave before it is shared with
// others.
func propagate(fd int, kinds []propagation, userNS bool) error {
	for _, p := range kinds {
		steps := []uint64{p.kind}
		if userNS && p.kind == unix.MS_SHARED {
			steps = []uint64{unix.MS_SLAVE, unix.MS_SHARED}
		}
		for _, kind := range steps {
			if err := setAttr(fd, p.recursive, unix.MountAttr{Propagation: kind}); err != nil {
				return fmt.Errorf("cannot set propagation: %w", err)
			}
		}
	}
	return nil
}
