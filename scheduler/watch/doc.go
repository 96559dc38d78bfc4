// Package watch tells which files below some directories have changed, in batches.
//
// It may import spec and nothing else of ours.
//
//	inotify ──▶ event ──┐
//	                    ├─▶ tree.look ─▶ pending ─ window ─▶ Batch
//	clock ────▶ scan ───┘
//
// The watchers of a program share an inotify instance: the machine has few of them.
//
// Events carry no truth: one only says where to look. A tree remembers what lay
// below a root when it last looked, so a look finds what differs, whatever an
// editor did on the way: a file that was renamed away and written anew is one change.
// A swap file that came and went is told as that: whoever brings files elsewhere may
// have met it, on the way to another change. The same comparison serves where
// inotify cannot (too few watches, network file systems): then the clock says when
// to look, everywhere.
//
// A window holds changes back until they rest: a single save for a few
// milliseconds, a burst such as git checkout until it is over.
//
// Directories that a rule ignores are neither read nor watched. Ignore files are read
// once: who watches begins anew when one changes.
package watch
