// Package build makes images of Dockerfiles: what a `build:` of a stack file asks for.
//
// BuildKit does the work, in a program of its own, stack-build, beside stack: linking
// it costs 3 ms and 7 MB in every process, and a builder of its own outlives the
// command that began it. This package is the side that links nothing of BuildKit: the
// Job, and Run, which has one done. It may import runtime, runtime/flock and runtime/image; the
// other programs' parts are in its sub-packages:
//
//	stack, controller ── Run ─ Job (JSON on standard input) ─▶ stack-build run
//	                     ◀─ Result (JSON lines on descriptor 3)       │ package solve
//	                     ◀─ progress (standard output)                │ BuildKit's API,
//	                                                                  │ a unix socket
//	   image store ◀─ images, by hard links ─ stack-build serve ◀─────┘ package builder
//	                                              └─▶ RUN steps on our own runtime
//
// The first job starts the server, the others join it; it ends when nobody has been
// connected for a while (see Machine.Idle). It is the first process of a pid and a
// mount namespace of its own, so whatever ends it ends every RUN step and leaves no
// mount behind. A job that is cut short has its steps stopped; those that others wait
// for go on.
//
// Files:
//
//	RUN/.build/sock            BuildKit's API
//	RUN/.build/lock            flock: held by who starts a server
//	RUN/.build/containers/     the runtime's records of RUN steps
//	LIB/build/lock             flock: held by the server
//	LIB/build/log              what the server has to say
//	LIB/build/tmp/             scratch, emptied at the start
//	LIB/build/snapshots/, content/, *.db   BuildKit's cache
package build
