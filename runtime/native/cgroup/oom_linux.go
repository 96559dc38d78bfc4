package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// watch sends after each rise of a counter until ctx ends, then closes events.
func (e *eventFile) watch(ctx context.Context, key string, events chan<- struct{}) {
	stop := context.AfterFunc(ctx, func() { e.file.Close() })
	defer stop()
	defer e.file.Close()
	defer close(events)
	var last uint64
	first := true
	for {
		err := e.await(func(text string) bool {
			n := keyValue(text, key)
			risen := !first && n > last
			first, last = false, n
			return risen
		})
		if err != nil {
			return
		}
		notify(events)
	}
}

// notify tells a reader that may be late once.
func notify(events chan<- struct{}) {
	select {
	case events <- struct{}{}:
	default:
	}
}

// oomEvents watches the counter of kills, those below the group included.
func (g *v2) oomEvents(ctx context.Context) (<-chan struct{}, error) {
	e, err := openEvents(g.at() + "/memory.events")
	if gone(err) && exists(g.at()) {
		return nil, errors.New("the memory controller is not available")
	}
	if err != nil {
		return nil, notFound(err)
	}
	events := make(chan struct{}, 1)
	go e.watch(ctx, "oom_kill", events)
	return events, nil
}

func (g *v2) oomKills() (uint64, error) {
	text, err := readValue(g.at() + "/memory.events")
	if gone(err) && exists(g.at()) {
		return 0, nil
	}
	return keyValue(text, "oom_kill"), notFound(err)
}

// oomEvents registers an eventfd(2) with the memory controller.
func (g *v1) oomEvents(ctx context.Context) (<-chan struct{}, error) {
	dir := g.file("memory", "")
	if dir == "" || !exists(dir) {
		return nil, ErrNotFound
	}
	control, err := os.Open(dir + "/memory.oom_control")
	if err != nil {
		return nil, notFound(err)
	}
	defer control.Close()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot make an event descriptor: %w", err)
	}
	if err := writeFile(dir+"/cgroup.event_control", fmt.Sprintf("%d %d", fd, control.Fd())); err != nil {
		unix.Close(fd)
		return nil, notFound(err)
	}
	events := make(chan struct{}, 1)
	go watchEventFD(ctx, os.NewFile(uintptr(fd), "oom event"), dir, events)
	return events, nil
}

// watchEventFD forwards each event. The kernel sends one more when the group is
// removed.
func watchEventFD(ctx context.Context, f *os.File, dir string, events chan<- struct{}) {
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	defer f.Close()
	defer close(events)
	var count [8]byte
	for {
		if _, err := f.Read(count[:]); err != nil || !exists(dir) {
			return
		}
		notify(events)
	}
}

// oomKills adds up the groups: version 1 counts a victim where it lived.
func (g *v1) oomKills() (uint64, error) {
	dir := g.file("memory", "")
	if dir == "" {
		return 0, nil
	}
	if !exists(dir) {
		return 0, ErrNotFound
	}
	var kills uint64
	err := walk(dir, func(dir string) error {
		text, err := readValue(dir + "/memory.oom_control")
		kills += keyValue(text, "oom_kill")
		return err
	})
	return kills, err
}
