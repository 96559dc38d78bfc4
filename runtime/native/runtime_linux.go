package native

import (
	"log/slog"

	"stack/runtime"
	"stack/runtime/native/rootfs"
	"stack/runtime/statedir"
)

// Options configure a Runtime.
type Options struct {
	// Root is the directory of the containers' records, made if absent (0700).
	Root string
	// CloneParent makes the caller's parent the parent of containers (not of
	// Exec's processes).
	CloneParent bool
	// NoPivot leaves the host's root below the container's, for hosts that run from
	// their initramfs and cannot pivot.
	NoPivot bool
	// OneThread makes Create work on the calling thread alone where it can. It is for
	// a process that makes one container, so that a change of threads counts, and that
	// from then on changes neither its root nor its working directory nor its umask:
	// that thread would not follow the others.
	OneThread bool
	// SharedKeyring leaves containers the caller's session keyring.
	SharedKeyring bool
	// Stats reads what the control groups use, by controller; see package metrics. A
	// runtime without it has no statistics.
	Stats func(paths map[string]string) (runtime.Stats, error)
	// Log receives what has no caller to be returned to; nil discards it.
	Log *slog.Logger
}

// Runtime implements runtime.Runtime.
type Runtime struct {
	root          statedir.Root
	cloneParent   bool
	noPivot       bool
	sharedKeyring bool
	oneThread     bool
	stats         func(paths map[string]string) (runtime.Stats, error)
	log           *slog.Logger
	filters       filterCache
	lowers        rootfs.Lowers
	last          written // with oneThread
}

var _ runtime.Runtime = (*Runtime)(nil)

// New returns a runtime. It touches nothing until the first container.
func New(o Options) *Runtime {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Runtime{
		root: statedir.Root(o.Root), cloneParent: o.CloneParent, noPivot: o.NoPivot, sharedKeyring: o.SharedKeyring,
		oneThread: o.OneThread,
		stats:     o.Stats, log: o.Log,
	}
}
