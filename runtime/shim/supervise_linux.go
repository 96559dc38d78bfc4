package shim

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// Restarts of the controller: the first at once, then after firstBackoff,
// doubling to maxBackoff; a controller that lived for goodLife starts afresh.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
	goodLife     = 10 * time.Second
)

// handoverPatience is how long the controller of a dead shim may take to hand
// over what it has and exit.
const handoverPatience = 5 * time.Second

// maxLog is the size above which shim.log is set aside before a controller
// starts.
const maxLog = 1 << 20

// supervise keeps a controller running until the shim is told to stop.
func (s *server) supervise(argv, env []string, lock *os.File, previous int) {
	if err := s.awaitHandover(lock, previous); err != nil {
		s.log.Error("cannot wait for the previous controller", "pid", previous, "error", err)
	}
	if err := s.listenAPI(); err != nil {
		s.log.Error("cannot listen", "error", err)
	}
	var b backoff
	for {
		born := time.Now()
		started, err := s.startController(argv, env)
		switch {
		case err != nil:
			s.log.Error("cannot start controller", "error", err)
		case !started:
			return
		default:
			exit := <-s.controllerExit
			s.log.Warn("controller ended", "code", exit.Code, "lived", time.Since(born))
			if s.count(exit, time.Since(born)) {
				s.log.Error("no container lives and no controller starts: giving up")
				s.stop()
			}
		}
		if s.isStopping() {
			s.reap() // sees to the end
			return
		}
		time.Sleep(b.next(time.Since(born)))
	}
}

// count notes whether the controller gave up by itself, soon; one that was killed did
// not. It reports whether there is no reason to try again: whoever comes next starts
// another shim.
func (s *server) count(exit runtime.Exit, lived time.Duration) (giveUp bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if exit.Code == 0 || exit.Code > 128 || lived >= goodLife {
		s.failures = 0
		return false
	}
	s.failures++
	return s.failures >= 2*Hopeless && len(s.containers) == 0
}

// backoff is the wait before the next start.
type backoff struct{ wait time.Duration }

func (b *backoff) next(lived time.Duration) time.Duration {
	if lived >= goodLife {
		b.wait = 0
	}
	now := b.wait
	b.wait = min(max(2*now, firstBackoff), maxBackoff)
	return now
}

func (s *server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// awaitHandover waits until the controller of an earlier shim has exited, and
// sees to it that it does. It closes lock.
func (s *server) awaitHandover(lock *os.File, previous int) error {
	defer lock.Close()
	if previous == 0 {
		return nil
	}
	pidfd, err := unix.PidfdOpen(previous, 0)
	if err == nil {
		defer unix.Close(pidfd)
		t := time.AfterFunc(handoverPatience, func() {
			s.log.Error("previous controller does not exit, killing it", "pid", previous)
			_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		})
		defer t.Stop()
	}
	return waitControllerLock(lock)
}

// listenAPI makes the controller's socket unless a previous controller handed
// it over.
func (s *server) listenAPI() error {
	s.mu.Lock()
	_, ok := s.held[APIName]
	s.mu.Unlock()
	if ok {
		return nil
	}
	fd, err := listenUnix(s.dir, "api.sock", unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	s.hold(APIName, fd)
	return nil
}

// startController starts the controller, unless the shim is stopping.
func (s *server) startController(argv, env []string) (bool, error) {
	if err := s.turnLog(); err != nil {
		s.log.Error("cannot turn log", "error", err)
	}
	// Held until the pid is known: the controller's exit may be reaped at once.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false, nil
	}
	// A session of its own: as a group of the shim's session it would be sent
	// SIGHUP at the shim's death if it happened to be stopped.
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   env,
		Files: withRoom(0, 1, 2),
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	pid, err := syscall.ForkExec(argv[0], argv, attr)
	if err != nil {
		return false, fmt.Errorf("cannot execute %q: %w", argv[0], err)
	}
	s.controller = pid
	return true, nil
}

// turnLog sets a large shim.log aside.
func (s *server) turnLog() error {
	path := s.path("shim.log")
	st, err := os.Stat(path)
	if err == nil && st.Size() < maxLog {
		return nil
	}
	if err == nil {
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
	}
	return redirect(path)
}
