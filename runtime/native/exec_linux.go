package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/stub"
)

// Exec implements runtime.Runtime. The lock is shared, and held while a thread
// of ours stands in the container's cgroup.
func (r *Runtime) Exec(ctx context.Context, id string, e runtime.Exec) (runtime.Process, error) {
	if e.Process == nil {
		return runtime.Process{}, errors.New("invalid process: none given")
	}
	if err := validateProcess(e.Process); err != nil {
		return runtime.Process{}, err
	}
	l, err := r.live(ctx, id, unix.LOCK_SH)
	if err != nil {
		return runtime.Process{}, err
	}
	x := &executing{live: l, Exec: e, keyring: r.sharedKeyring, log: r.log}
	err = x.fork()
	l.Close()
	if err == nil {
		err = x.control.finish(ctx)
	}
	return x.result(err)
}

// executing is one Exec under way.
type executing struct {
	*live
	runtime.Exec
	init    *os.File // pidfd of the container's first process
	control *control
	console *terminal
	pid     int
	pidfd   *os.File
	keyring bool
	log     *slog.Logger
}

// fork starts the stub inside the container's cgroup and pid namespace.
func (x *executing) fork() (err error) {
	switch status, err := x.status(x.record, x.group); {
	case err != nil:
		return err
	case status == runtime.Paused: // the process would freeze on its way
		return fmt.Errorf("cannot execute in container %s: %w", x.ID, runtime.ErrPaused)
	case status != runtime.Running:
		return fmt.Errorf("cannot execute in container %s: %w", x.ID, runtime.ErrNotRunning)
	}
	if x.init, err = openProcess(x.Pid, x.StartTime); err != nil {
		return err
	}
	files, err := x.stdio()
	if err != nil {
		return err
	}
	defer files.close()
	all := append(files.list, x.ExtraFiles...)
	keep := len(all)
	image, table, err := x.script(keep)
	if err != nil {
		return err
	}
	ours, theirs, err := newControl(table)
	if err != nil {
		return err
	}
	defer theirs.Close()
	x.control = ours
	p := stubProcess{
		image: image, dirs: []string{x.Path, os.TempDir(), "/dev/shm", "/var/tmp"},
		files: append(all, theirs, x.init), keyring: x.keyring, prepare: x.enter,
	}
	dir, err := x.group.Dir()
	if err != nil {
		return err
	}
	if dir != nil {
		defer dir.Close()
		p.attr.UseCgroupFD, p.attr.CgroupFD = true, int(dir.Fd())
	}
	x.pid, x.pidfd, err = p.fork()
	if err != nil && ended(x.init) {
		return fmt.Errorf("cannot execute in container %s: %w", x.ID, runtime.ErrNotRunning)
	}
	return err
}

// enter runs on the thread that forks.
func (x *executing) enter() error {
	if err := x.group.Enter(); err != nil {
		return err
	}
	if x.Namespaces&unix.CLONE_NEWPID == 0 {
		return nil
	}
	if err := unix.Setns(int(x.init.Fd()), unix.CLONE_NEWPID); err != nil {
		return fmt.Errorf("cannot join the container's pid namespace: %w", err)
	}
	return nil
}

// script is the stub's way into the container. All namespaces are joined in one
// call: with the user namespace last or first, some would be refused.
func (x *executing) script(keep int) ([]byte, stub.Table, error) {
	process := *x.Process
	if process.OOMScoreAdj == nil {
		process.OOMScoreAdj = x.OOMScoreAdj
	}
	if process.ExecCPUAffinity == nil {
		process.ExecCPUAffinity = x.Affinity
	}
	program, _, err := newProgram(&process, nil, x.Filter, x.UserNS)
	if err != nil {
		return nil, nil, err
	}
	control, init := stub.Int(keep), stub.Int(keep+1)
	b := newBuilder()
	b.ReportTo(control)
	b.beginning(keep, keep+2)
	b.resources(program)
	b.hide()
	b.Call("join the container's namespaces", unix.SYS_SETNS, init, stub.Int(x.Namespaces&^unix.CLONE_NEWPID))
	b.Call("change to the container's root", unix.SYS_CHDIR, b.String("/"))
	if x.UserNS {
		b.becomeRoot()
	}
	b.Call("start a session", unix.SYS_SETSID)
	if process.Terminal {
		b.Call("take the terminal", unix.SYS_IOCTL, stub.Int(0), stub.Int(unix.TIOCSCTTY), stub.Int(0))
	} else {
		b.openNull([3]bool{x.Stdin == nil, x.Stdout == nil, x.Stderr == nil})
	}
	b.run(program, false)
	return b.ELF()
}

// stdio is what becomes descriptors 0 to 2.
type stdio struct {
	list []*os.File
	own  []*os.File
}

func (s *stdio) close() {
	for _, f := range s.own {
		f.Close()
	}
}

func (x *executing) stdio() (stdio, error) {
	if x.Process.Terminal {
		t, err := x.openTerminal()
		if err != nil {
			return stdio{}, err
		}
		x.console = t
		return stdio{list: []*os.File{t.peer, t.peer, t.peer}, own: []*os.File{t.peer}}, nil
	}
	given := []*os.File{x.Stdin, x.Stdout, x.Stderr}
	if err := ownPipes(x.Process.User.UID, x.UIDs, given...); err != nil {
		return stdio{}, err
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return stdio{}, err
	}
	for i := range given {
		if given[i] == nil {
			given[i] = null
		}
	}
	return stdio{list: given, own: []*os.File{null}}, nil
}

// result hands the process over, or cleans up after err.
func (x *executing) result(err error) (runtime.Process, error) {
	if x.init != nil {
		x.init.Close()
	}
	if x.control != nil {
		x.control.close()
	}
	var master *os.File
	if x.console != nil {
		master = x.console.master
	}
	if err == nil {
		return runtime.Process{Pid: x.pid, PidFD: x.pidfd, Console: master}, nil
	}
	if x.pidfd != nil {
		x.abandon()
	}
	if master != nil {
		master.Close()
	}
	return runtime.Process{}, err
}

// abandon kills and reaps a process that did not get as far as its program. In a
// container that was paused meanwhile it dies only when that goes on.
func (x *executing) abandon() {
	err := signalProcess(x.pidfd, unix.SIGKILL)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err == nil || errors.Is(err, runtime.ErrNotRunning) {
		err = awaitEnd(ctx, x.pidfd)
	}
	x.pidfd.Close()
	if err == nil {
		reap(x.pid)
		return
	}
	x.log.Warn("a process executed in a container does not end yet", "container", x.ID, "pid", x.pid, "error", err)
	go reap(x.pid)
}
