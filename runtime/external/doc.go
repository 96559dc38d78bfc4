// Package external runs containers with another OCI runtime - runc, crun, runsc or
// any program with their command line - so that they are like the native runtime's
// to everybody else: the same files, networks, logs, exit codes and guarantees.
//
// It may import runtime and runtime/statedir. What the other program cannot do is lent by a Host, which
// package native implements: layers and id-mapped volumes, control groups, the
// program that tells whether the user's could be executed.
//
// # Create
//
//	Bundle ─▶ record the intent ─▶ throw-away thread: a mount namespace of its own,
//	  the root file system staged in it ─▶ config.json ─▶ PROGRAM create
//	  ─▶ Bundle.Attach ─▶ Bundle.Adopt ─▶ record the pid
//
// The stage is in no other mount namespace: it goes with the thread and the
// program, whatever kills them, and the container keeps what it pivoted into. The
// program dies with the thread. Its container does not: the first process is an
// orphan of the program, and goes to the nearest subreaper, the shim.
//
// # Start
//
// These programs return before the user's is executed. So what they execute is the
// host's launcher, a few hundred bytes in a descriptor that only this container
// has, which executes the user's program:
//
//	starter                          launcher
//	opens the FIFO report
//	PROGRAM start              ──▶   runs
//	                           ◀──   failure, or the end of file by execve(2)
//
// A program that gives its containers no descriptors of the host (runsc) executes
// the user's itself; then a failure is an exit code.
//
// # Exec
//
// PROGRAM exec leaves the process to the nearest subreaper. That has to be the
// caller's child, not the shim, which package parent is: it waits for the process
// and ends as it did.
//
// # State
//
// What is known is in ROOT/ID (record.go). The kernel says whether the first
// process runs; PROGRAM is asked only whether a container that was not started here
// was started by somebody else.
package external
