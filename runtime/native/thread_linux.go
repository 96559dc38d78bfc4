package native

import (
	goruntime "runtime"
	"time"

	"golang.org/x/sys/unix"
)

// throwAway runs f on a thread that is never used again, so that f may change
// what belongs to a thread: its cgroup, namespaces, keyring. It returns when the
// thread is gone, so that nothing of this program is left in a container's
// cgroup. The main thread is not taken: it outlives its goroutine.
func throwAway(f func() error) error {
	type result struct {
		tid int
		err error
	}
	done := make(chan result, 1)
	go func() {
		goruntime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- result{0, throwAway(f)}
			goruntime.UnlockOSThread()
			return
		}
		done <- result{unix.Gettid(), f()}
		// The goroutine ends locked, and its thread with it.
	}()
	r := <-done
	if r.tid != 0 {
		awaitThread(r.tid)
	}
	return r.err
}

// awaitThread returns when thread tid of this process has ended. A thread cannot
// be waited for; its last instructions take microseconds.
func awaitThread(tid int) {
	for pause := time.Microsecond; ; pause = min(2*pause, time.Millisecond) {
		if err := unix.Tgkill(unix.Getpid(), tid, 0); err != nil {
			return
		}
		time.Sleep(pause)
	}
}
