package cgroup

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperVariable makes the test binary play another process.
const helperVariable = "CGROUP_TEST_HELPER"

func TestMain(m *testing.M) {
	role, argument, _ := strings.Cut(os.Getenv(helperVariable), " ")
	switch role {
	case "leaderless":
		leaderless()
	case "kill":
		os.Exit(killsItsGroup(argument))
	}
	os.Exit(m.Run())
}

// leaderless ends the main thread alone.
func leaderless() {
	go time.Sleep(100 * time.Second)
	if unix.Gettid() != os.Getpid() {
		fmt.Println("main does not run on the main thread")
		os.Exit(1)
	}
	_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
}

// killsItsGroup succeeds when the package refuses.
func killsItsGroup(path string) int {
	g, err := Load(path)
	if err != nil || !errors.Is(g.Kill(), ErrBusy) {
		return 1
	}
	return 0
}

// onThread runs f on a locked thread of its own, not the main one, that ends
// with it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			onThread(f) // this goroutine keeps the main thread meanwhile
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-done
}

// enterAndStay keeps a thread of this process in the group until told.
func enterAndStay(g *Group, entered chan<- error, leave <-chan struct{}) {
	onThread(func() {
		entered <- g.Enter()
		<-leave
	})
}

// asNobody runs f on a thread without privileges.
func asNobody(f func() error) (err error) {
	const nobody = 65534
	onThread(func() {
		if _, _, no := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); no != 0 {
			err = no
			return
		}
		err = f()
	})
	return err
}
