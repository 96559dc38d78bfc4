package netns

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// Stacks that share a network tell each other when its services change: each
// controller has a datagram socket in the network's directory, named from its
// project, and whoever writes services.json sends an empty datagram to the others.
// It carries no truth, so one that is lost matters only until the next; and it
// needs none of the few inotify instances that a machine has.

const socketSuffix = ".sock"

func socketName(project string) string { return hexDigest(16, "watch", project) + socketSuffix }

// tell wakes those who watch the network, but for the entry's own project. One who
// makes his socket at this moment may miss it: he reads the record after that.
func (e *entry) tell() {
	dir, err := os.Open(e.dir)
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if !strings.HasSuffix(name, socketSuffix) || name == e.self {
			continue
		}
		// By way of the descriptor: a socket's path may have 107 bytes only.
		at := &net.UnixAddr{Net: "unixgram", Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)}
		if c, err := net.DialUnix("unixgram", nil, at); err == nil {
			poke(c)
			c.Close()
		}
	}
}

// poke sends an empty datagram, unless the socket is full: its reader has news already.
// c.Write would wait for him, who may be stopped, with the network's lock held.
func poke(c *net.UnixConn) {
	raw, err := c.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { syscall.Write(int(fd), nil) })
	}
}

// listenChanges makes the project's socket in the network's directory, in place of
// one that a dead process left.
func (e *entry) listenChanges() (*net.UnixConn, error) {
	dir, err := os.Open(e.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot watch network %s: %w", e.id, err)
	}
	defer dir.Close()
	path := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), e.self)
	os.Remove(path)
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return nil, fmt.Errorf("cannot watch network %s: %w", e.id, err)
	}
	return c, nil
}

// Watch calls changed after another stack changed services on a network that the
// project uses, from the next Apply on.
func (h *Host) Watch(changed func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed = changed
}

// watch makes the sockets of networks that have none yet.
func (h *Host) watch(networks []Network) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == nil {
		return nil
	}
	for _, n := range networks {
		if h.watched[n.ID] != nil {
			continue
		}
		c, err := h.store.entry(n.ID).listenChanges()
		if err != nil {
			return err
		}
		h.watched[n.ID] = c
		go awaitChanges(c, h.changed)
	}
	return nil
}

func awaitChanges(c *net.UnixConn, changed func()) {
	var b [1]byte
	for {
		if _, _, err := c.ReadFromUnix(b[:]); err != nil {
			return // closed
		}
		changed()
	}
}

// unwatch ends the watch of a network that the project leaves.
func (h *Host) unwatch(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.watched[id]; c != nil {
		c.Close()
		delete(h.watched, id)
	}
	e := h.store.entry(id)
	os.Remove(e.dir + "/" + e.self)
}
