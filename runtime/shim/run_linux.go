package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// Options configure Run.
type Options struct {
	// Dir is RUN/PROJECT, an existing directory of ours with mode 0700.
	Dir string
	// Controller is the controller's command line, the program's path first;
	// Env its environment.
	Controller []string
	Env        []string
	// Ready is a pipe: once the sockets listen "ok" is written and it is closed;
	// when Run fails earlier, the error. May be nil.
	Ready *os.File
	// Cgroup is the path the starter gave to the shim's own cgroups; they are
	// removed at the end. May be empty.
	Cgroup string
	// Log receives the shim's own messages; nil is text on standard error, which
	// Run redirects to DIR/shim.log.
	Log *slog.Logger
}

// lockPatience is how long a dying shim may take to let go of its lock. Leaving a
// dozen cgroups takes it seconds on a machine where everybody does.
const lockPatience = 30 * time.Second

// readyMessage is what Ready says when all is well.
const readyMessage = "ok"

// Run is the shim: it returns after stop, when the last child has ended. It
// takes the whole process over: session, signals, children, standard descriptors.
func Run(o Options) error {
	err := run(o)
	if err != nil && o.Ready != nil {
		fmt.Fprint(o.Ready, err)
		o.Ready.Close()
	}
	return err
}

func run(o Options) error {
	if len(o.Controller) == 0 {
		return errors.New("cannot start shim: no controller given")
	}
	children, err := detach(o.Dir)
	if err != nil {
		return fmt.Errorf("cannot start shim: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	lock, err := takeLock(o.Dir)
	if err != nil {
		return fmt.Errorf("cannot start shim: another one lives: %w", err)
	}
	defer lock.Close()

	s := newServer(o.Dir, o.Log)
	controllerLock, previous, err := s.listen()
	if err != nil {
		return fmt.Errorf("cannot start shim: %w", err)
	}
	if o.Ready != nil {
		fmt.Fprint(o.Ready, readyMessage)
		o.Ready.Close()
	}
	s.tune() // stops the world: not before the starter goes on
	go s.supervise(o.Controller, o.Env, controllerLock, previous)
	s.loop(children)
	s.remove(o.Cgroup)
	return nil
}

// errServed is why a shim gives way: one that a starter left behind, who was killed,
// was quicker.
var errServed = errors.New("it serves")

// takeLock waits for a dying shim to let go of dir's lock. One that serves does not die:
// whoever started us is to use that.
func takeLock(dir string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	type result struct {
		lock *os.File
		err  error
	}
	got := make(chan result, 1)
	go func() {
		lock, err := lockFile(ctx, dir+"/shim.lock")
		got <- result{lock, err}
	}()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		select {
		case r := <-got:
			return r.lock, r.err
		case <-look.C:
			if c, err := connect(ctx, dir); err == nil {
				c.Close()
				return nil, errServed
			}
		}
	}
}

// lookAgain is how often a shim that waits for the lock sees whether its holder serves.
const lookAgain = 100 * time.Millisecond

// loop reaps until the shim is done, and then lets the last output arrive.
func (s *server) loop(children <-chan os.Signal) {
	for {
		select {
		case <-children:
			s.reap()
		case <-s.done:
			select {
			case <-s.drained():
			case <-time.After(drainPatience):
			}
			return
		}
	}
}

// settled is how long after a start, its own or a container's, the garbage of it is
// over.
const settled = time.Second

// tune keeps the heap small; the shim's live data is tens of kilobytes.
func (s *server) tune() {
	debug.SetGCPercent(25)
	runtime.GOMAXPROCS(min(2, runtime.NumCPU()))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = time.AfterFunc(settled, giveBack)
}

// starts puts the giving back off until the last of many containers has come.
func (s *server) starts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quiet != nil {
		s.quiet.Reset(settled)
	}
}

// detach leaves everything of the caller's but its cgroup: session, terminal,
// directory, umask, standard descriptors. The returned channel tells of children.
func detach(dir string) (<-chan os.Signal, error) {
	// Caught rather than ignored: an ignored signal would stay ignored in every
	// container.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	if _, err := unix.Setsid(); err != nil && !errors.Is(err, unix.EPERM) {
		return nil, os.NewSyscallError("setsid", err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl", err)
	}
	unix.Umask(0o022)
	if err := os.Chdir("/"); err != nil {
		return nil, err
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("open /dev/null", err)
	}
	defer unix.Close(null)
	if err := unix.Dup3(null, 0, 0); err != nil {
		return nil, os.NewSyscallError("dup3", err)
	}
	return children, redirect(dir + "/shim.log")
}

// redirect sends standard output and error to the file at path.
func redirect(path string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open %q: %w", path, err)
	}
	defer unix.Close(fd)
	for _, std := range []int{1, 2} {
		if err := unix.Dup3(fd, std, 0); err != nil {
			return os.NewSyscallError("dup3", err)
		}
	}
	return nil
}

// listen makes shim.json and the sockets, in an order that never shows a client
// a shim that is not ready. It tells the pid of a controller that an earlier shim
// left, whose API socket is then to be handed over, not made.
func (s *server) listen() (lock *os.File, previous int, err error) {
	start, err := StartTime(os.Getpid())
	if err != nil {
		return nil, 0, err
	}
	if err := writeJSON(s.path("shim.json"), Info{Version, os.Getpid(), start}); err != nil {
		return nil, 0, err
	}
	if lock, err = openControllerLock(s.path("controller.lock")); err != nil {
		return nil, 0, err
	}
	if previous, err = tryControllerLock(lock); err != nil {
		return nil, 0, fmt.Errorf("cannot lock %q: %w", lock.Name(), err)
	}
	if previous == 0 {
		if err := s.listenAPI(); err != nil {
			return nil, 0, err
		}
	}
	fd, err := listenUnix(s.dir, "shim.sock", unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, 0, err
	}
	go func() {
		s.log.Error("cannot serve", "error", s.serve(fd))
	}()
	return lock, previous, nil
}

// remove removes the shim's files, the lock last.
func (s *server) remove(cgroup string) {
	if cgroup != "" {
		LeaveCgroup(cgroup)
	}
	for _, name := range []string{"shim.sock", "api.sock", "shim.json", "controller.lock", "shim.log", "shim.log.1", "shim.lock"} {
		_ = os.Remove(s.path(name)) // DIR may be gone already
	}
}
