package shim

import (
	"golang.org/x/sys/unix"
)

// descriptorRoom is how many descriptors a process started by withRoom can open
// before the kernel must enlarge its table: those of a hundred replicas.
const descriptorRoom = 1000

// withRoom is what a child of syscall.ForkExec gets as its descriptors 0 and up,
// followed by closed ones. The kernel enlarges the table of a process with threads
// only after all processors have passed a quiescent state (synchronize_rcu in
// expand_fdtable), about 10 ms each time, and the table doubles three times while 50
// replicas start. The child is single-threaded between fork and execve, where a
// table that is enlarged costs nothing, and stays.
func withRoom(files ...uintptr) []uintptr {
	const spare = 8 // ForkExec moves descriptors above the last
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur <= descriptorRoom+spare {
		return files
	}
	for len(files) < descriptorRoom {
		files = append(files, ^uintptr(0)) // closed
	}
	return files
}
