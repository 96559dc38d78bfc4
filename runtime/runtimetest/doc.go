// Package runtimetest is the conformance suite of runtime.Runtime: every
// implementation passes Run.
//
// It imports runtime only, and knows nothing of how containers are made: it
// observes them through what programs inside print, through /proc of the host
// and through exit codes. It needs root, and a root file system of busybox,
// which Busybox makes.
//
// Containers may be children of the test process or of a process that has ended:
// the suite makes the test process a subreaper, so it can wait for either.
package runtimetest
