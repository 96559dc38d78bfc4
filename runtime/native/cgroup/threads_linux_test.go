package cgroup

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// enterAndStay keeps a thread of this process in the group until told.
func enterAndStay(g *Group, entered chan<- error, leave <-chan struct{}) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		done := make(chan struct{})
		go func() { defer close(done); enterAndStay(g, entered, leave) }()
		<-done
		runtime.UnlockOSThread()
		return
	}
	entered <- g.Enter()
	<-leave
}
