package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime/flock"
)

// StartOptions say how to start a shim.
type StartOptions struct {
	// Dir is RUN/PROJECT, made with mode 0700 if absent.
	Dir string
	// Shim is the command line that runs the shim, to which Ensure adds
	// arguments (see Command); empty is stack-shim beside the running program.
	Shim []string
	// Controller is the controller's command line, the program's path first.
	Controller []string
	// Env is the environment of both; nil is the caller's.
	Env []string
	// Cgroup is the path of the shim's own cgroups from the top of each hierarchy,
	// such as "stack/PROJECT/shim"; empty leaves it in the caller's.
	Cgroup string
}

// VersionError says that the living shim speaks another protocol.
type VersionError struct {
	Dir        string
	Pid        int
	Have, Want int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("cannot use shim %d in %q: it speaks version %d of the protocol, this program version %d; "+
		"take the stack down with the release that started it, then bring it up again", e.Pid, e.Dir, e.Have, e.Want)
}

// Ensure connects to the shim of o.Dir, starting one when none lives. Callers
// at the same moment, in whatever processes, get the same one. Errors: *VersionError.
func Ensure(ctx context.Context, o StartOptions) (*Client, error) {
	if c, err := connect(ctx, o.Dir); err == nil || !errors.Is(err, ErrNoShim) {
		return c, err
	}
	d, err := lockDir(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if c, err := connect(ctx, o.Dir); err == nil || !errors.Is(err, ErrNoShim) {
		return c, err
	}
	return startOrJoin(ctx, o)
}

// startOrJoin starts a shim. A starter that was killed may have left one that was not
// ready a moment ago, and has the lock: that one will do as well.
func startOrJoin(ctx context.Context, o StartOptions) (*Client, error) {
	failed := start(ctx, o)
	c, err := connect(ctx, o.Dir)
	if failed != nil && err != nil {
		return nil, fmt.Errorf("cannot start shim: %w", failed)
	}
	return c, err
}

// lockDir makes and locks dir. The directory itself is the lock: it leaves no file
// behind. One that Vacate removed while we waited is made anew.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	for {
		if err := makeDir(dir); err != nil {
			return nil, err
		}
		d, err := os.Open(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := flock.Wait(ctx, d, unix.LOCK_EX); err != nil {
			d.Close()
			return nil, fmt.Errorf("cannot lock %q: %w", dir, err)
		}
		held, err1 := d.Stat()
		named, err2 := os.Stat(dir)
		if err1 == nil && err2 == nil && os.SameFile(held, named) {
			return d, nil
		}
		d.Close()
	}
}

// connect dials and checks the version. A shim that is stopping is waited out:
// ErrNoShim.
func connect(ctx context.Context, dir string) (*Client, error) {
	c, err := Dial(dir)
	if err != nil {
		return nil, err
	}
	h, err := c.Hello(ctx)
	if err == nil && h.Version != Version {
		err = &VersionError{Dir: dir, Pid: h.Pid, Have: h.Version, Want: Version}
	}
	if err == nil && !h.Stopping {
		return c, nil
	}
	defer c.Close()
	if errors.Is(err, ErrGone) && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: %w", ErrNoShim, err) // it ended between dial and hello
	}
	if err != nil {
		return nil, err
	}
	if err := c.waitGone(ctx); err != nil {
		return nil, fmt.Errorf("cannot wait for stopping shim %d: %w", h.Pid, err)
	}
	return nil, ErrNoShim
}

// waitGone returns when the shim closes the connection.
func (c *Client) waitGone(ctx context.Context) error {
	gone := make(chan struct{})
	err := c.listen(ctx, func(Response) {}, func() { close(gone) })
	if errors.Is(err, ErrNoShim) || errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	<-gone
	return ctx.Err()
}

// makeDir makes dir, or checks that nobody else can write to it.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return fmt.Errorf("cannot use %q: others may write to it", dir)
	}
	return nil
}

// start starts a shim and waits until it is ready.
func start(ctx context.Context, o StartOptions) error {
	argv, err := Command(o)
	if err != nil {
		return err
	}
	env := o.Env
	if env == nil {
		env = os.Environ()
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   env,
		Files: withRoom(null.Fd(), null.Fd(), null.Fd(), w.Fd()),
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	pid, err := spawn(argv, attr, o.Cgroup)
	if err != nil {
		return fmt.Errorf("cannot execute %q: %w", argv[0], err)
	}
	// Reaped here for as long as this program lives, by pid 1 afterwards.
	go func() { _ = retry(func() error { _, err := syscall.Wait4(pid, nil, 0, nil); return err }) }()
	w.Close()
	return awaitReady(ctx, r)
}

// awaitReady reads the ready pipe to its end.
func awaitReady(ctx context.Context, r *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	b, err := io.ReadAll(io.LimitReader(r, 4096))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case string(b) == readyMessage:
		return nil
	case len(b) == 0:
		return errors.New("it died before it was ready; see shim.log")
	}
	return errors.New(string(b))
}

// spawn forks from a thread that has moved to the shim's cgroups and is thrown
// away afterwards.
func spawn(argv []string, attr *syscall.ProcAttr, cgroup string) (pid int, err error) {
	if cgroup == "" {
		return syscall.ForkExec(argv[0], argv, attr)
	}
	onThrowaway(func() { pid, err = forkInto(cgroup, argv, attr) })
	return pid, err
}

// onThrowaway runs do on a thread that ends afterwards. The main thread never
// ends, so when the goroutine lands on it, another is made while it is occupied.
func onThrowaway(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			onThrowaway(do)
			runtime.UnlockOSThread()
			return
		}
		do()
	}()
	<-done
}

func forkInto(cgroup string, argv []string, attr *syscall.ProcAttr) (int, error) {
	v2 := joinCgroups(cgroup)
	if v2 == nil {
		return syscall.ForkExec(argv[0], argv, attr)
	}
	defer v2.Close()
	attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(v2.Fd())
	pid, err := syscall.ForkExec(argv[0], argv, attr)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return pid, err
	}
	attr.Sys.UseCgroupFD = false // not allowed to: stay in the caller's
	_ = os.Remove(v2.Name())
	return syscall.ForkExec(argv[0], argv, attr)
}
