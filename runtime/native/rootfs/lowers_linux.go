package rootfs

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Lowers keeps read-only layers as detached, id-mapped mounts for the containers
// that are made next: replicas have the same. Making one is three system calls, but
// ending one makes the kernel wait for every processor (namespace_unlock), 1 ms of a
// replica's start. An overlay has a copy of its own, so nothing here holds a
// container up. The zero value is ready; it is safe for concurrent use.
type Lowers struct {
	mu     sync.Mutex
	known  map[lowerKey]lower
	expiry *time.Timer
}

// lowersLife is how long after their last use layers are let go of: a mount keeps
// its file system busy, and nobody should wonder about that when containers rest.
const lowersLife = time.Second

// lowerKey is what the mount depends on. The directory is part of it by identity:
// another one may have taken its name, or have been mounted over it.
type lowerKey struct {
	dir        string
	uids, gids string // "" without an id-mapping
	mount, ino uint64
	device     uint64
}

type lower struct {
	fd   int
	stat unix.Stat_t // of its root, ids as on disk
}

// open opens dir as a detached mount, id-mapped through the container's user
// namespace if asked; the caller closes the descriptor. What may have no links on the way
// is not kept.
func (k *Lowers) open(dir string, s *Setup, mapped, noLinks bool) (lower, error) {
	if k == nil || noLinks {
		return openLower(dir, s, mapped, noLinks)
	}
	key, err := keyOf(dir, s, mapped)
	if err != nil {
		return lower{}, fmt.Errorf("cannot open layer %q: %w", dir, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.known[key]
	if !ok {
		if l, err = openLower(dir, s, mapped, false); err != nil {
			return lower{}, err
		}
		if k.known == nil {
			k.known = map[lowerKey]lower{}
		}
		k.known[key] = l
	}
	k.expire()
	if l.fd, err = unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return lower{}, fmt.Errorf("cannot duplicate layer %q: %w", dir, err)
	}
	return l, nil
}

// expire lets go of everything lowersLife after the last call.
func (k *Lowers) expire() {
	if k.expiry == nil {
		k.expiry = time.AfterFunc(lowersLife, k.Close)
		return
	}
	k.expiry.Reset(lowersLife)
}

// Close lets go of everything; the overlays made of it go on.
func (k *Lowers) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, l := range k.known {
		unix.Close(l.fd)
		delete(k.known, key)
	}
}

func keyOf(dir string, s *Setup, mapped bool) (lowerKey, error) {
	var st unix.Statx_t
	err := retry(func() error {
		return unix.Statx(unix.AT_FDCWD, dir, unix.AT_NO_AUTOMOUNT, unix.STATX_INO|unix.STATX_MNT_ID, &st)
	})
	key := lowerKey{dir: dir, mount: st.Mnt_id, ino: st.Ino, device: unix.Mkdev(st.Dev_major, st.Dev_minor)}
	if mapped {
		key.uids, key.gids = fmt.Sprint(s.UIDs), fmt.Sprint(s.GIDs)
	}
	return key, err
}

func openLower(dir string, s *Setup, mapped, noLinks bool) (l lower, err error) {
	if l.fd, err = cloneDirectory(dir, noLinks); err != nil {
		return lower{}, fmt.Errorf("cannot open layer %q: %w", dir, err)
	}
	defer func() {
		if err != nil {
			unix.Close(l.fd)
		}
	}()
	if err := unix.Fstat(l.fd, &l.stat); err != nil {
		return lower{}, fmt.Errorf("cannot stat layer %q: %w", dir, err)
	}
	if err := setAttr(l.fd, false, unix.MountAttr{Propagation: unix.MS_PRIVATE}); err != nil {
		return lower{}, fmt.Errorf("cannot make layer %q private: %w", dir, err)
	}
	if !mapped {
		return l, nil
	}
	return l, idMapMount(l.fd, int(s.UserNS.Fd()), false, dir)
}

// Kept is how many layers are held at the moment.
func (k *Lowers) Kept() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.known)
}
