// Command stackbench measures stack beside what it stands on and what it stands
// beside, in one run and on one machine:
//
//	stack           `up -d` and `down` of 1, 10 and 50 replicas, as a person types them
//	raw floor       the same replicas made by this process with raw system calls
//	plain unshare   as many clones into six namespaces and execve(2), and no more
//	docker compose  where it is installed, with the daemon that runs or one of our own
//
//	OCI runtimes    `stack oci run` of true beside runc's and crun's, and the native
//	                runtime's create and start in one process, by its own benchmark
//
// and then what the budgets are about: memory, idle processor time, start-up of
// the command line, latency of exec. It imports nothing of ours: the programs
// beside it are measured from outside.
//
// With --reload it measures how saved files reach replicas that run: this program runs
// inside them as well (`inside`), looks by inotify as any program would, and tells over
// a socket when it saw what. `docker compose watch` is measured likewise.
//
// Data flow: main → suite (contenders, rounds in alternating order) → samples →
// report. Each contender removes what it made, also when the run is interrupted;
// names carry this process's pid.
//
// # The floor
//
// A replica of the floor is what the kernel must do at least for a container on a
// bridge, with a few replicas at a time and nothing written down:
//
//	cgroups    mkdir in five v1 hierarchies (or the one of v2); the forking thread joins
//	overlay    a fresh upper over the host's root, as a detached mount
//	clone      user, mount, pid, net, ipc and uts namespaces at once
//	id maps    65536 ids
//	veth       its host end on a bridge, its peer in the new namespace
//	addresses  lo and eth0 up, an address, a default route
//	exec       move_mount, pivot_root, execve of /bin/sleep
//
// It has no /proc, no /dev, no limits, no seccomp, no log and no record. What it
// made is checked after the clock has stopped: a floor that does less than it says
// would flatter nobody but us.
package main
