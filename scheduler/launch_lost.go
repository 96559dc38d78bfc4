package scheduler

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"stack/runtime/shim"
)

// What a start can lose under way, so that its failure is nobody's.

// successorWait is how long a controller whose shim is dead goes on, at most: it
// hands everything over and ends.
const successorWait = 5 * time.Second

// awaitSuccessor keeps an operation that needs the shim from being tried at once.
func (c *Controller) awaitSuccessor(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(successorWait):
	}
}

// lostVolume reports whether a volume was taken away while it was to be mounted.
func (l *launch) lostVolume() bool {
	return slices.ContainsFunc(l.i.Volumes, func(name string) bool {
		v, err := l.c.Store.Layout.LoadVolume(name)
		_, err2 := os.Stat(l.c.Store.Layout.VolumeData(name))
		made, known := l.i.VolumesMade[name]
		return err != nil || err2 != nil || known && !v.Created.Equal(made)
	})
}

// lostPeer reports whether one whose namespaces are joined has ended, or is another
// by now.
func (l *launch) lostPeer(ctx context.Context) bool {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return slices.ContainsFunc(joined(l.svc), func(ref string) bool {
		now, err := l.c.peer(ctx, ref)
		before := l.peers[ref]
		return err != nil || now.Pid != before.Pid || now.StartTime != before.StartTime
	})
}

// checkPeers is called when namespaces have been joined by pid: where another process
// has the pid by now, they may be that one's, and were it one of the host's, the
// container's walls would be missing. A process that is the peer, or is no more, was
// nobody else before.
func (l *launch) checkPeers() error {
	for ref, p := range l.peers {
		start, err := shim.StartTime(p.Pid)
		if err == nil && p.StartTime != 0 && start != p.StartTime {
			return fmt.Errorf("cannot join %s: it ended meanwhile", ref)
		}
	}
	return nil
}

// tellLost tells of anonymous volumes that an earlier run had and somebody took away:
// nothing brings their data back, the container begins with empty ones.
func (l *launch) tellLost(had []string, uses []VolumeUse) {
	for _, u := range uses {
		if !u.Anonymous || !slices.Contains(had, u.Name) || exists(l.c.Store.Layout.VolumeData(u.Name)) {
			continue
		}
		fault := "the anonymous volume at " + u.Target + " was taken away, its data is lost"
		l.i.Warnings = append(l.i.Warnings, fault)
		l.c.emit(Event{Type: "volume", Action: ActionRepair, Name: u.Name, Attributes: map[string]string{"fault": fault, "name": u.Name}})
	}
}
