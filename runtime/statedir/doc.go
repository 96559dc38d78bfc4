// Package statedir keeps a directory for each container of a runtime, below a root of
// the runtime's:
//
//	ROOT/ID/    0700; it carries the container's lock, a flock
//
// What lies in it is the runtime's own. A directory appears with Claim, whose caller
// holds the lock while it makes the container, so that who finds one without a
// finished record can tell one under way from what a crash left.
//
// It may import runtime and runtime/flock.
package statedir
