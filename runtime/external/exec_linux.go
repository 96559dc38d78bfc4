package external

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/external/parent"
)

// Exec implements runtime.Runtime.
func (r *Runtime) Exec(ctx context.Context, id string, e runtime.Exec) (runtime.Process, error) {
	if e.Process == nil || len(e.Process.Args) == 0 {
		return runtime.Process{}, errors.New("invalid process: none given")
	}
	c, err := r.live(ctx, id, unix.LOCK_SH)
	if err != nil {
		return runtime.Process{}, err
	}
	defer c.Close()
	if c.Has(deletingName) {
		return runtime.Process{}, fmt.Errorf("cannot execute in container %s, which is being deleted: %w", id, runtime.ErrNotRunning)
	}
	switch status, err := r.status(ctx, c.home, c.record); {
	case err != nil:
		return runtime.Process{}, err
	case status == runtime.Paused:
		return runtime.Process{}, fmt.Errorf("cannot execute in container %s: %w", id, runtime.ErrPaused)
	case status != runtime.Running:
		return runtime.Process{}, fmt.Errorf("cannot execute in container %s: %w", id, runtime.ErrNotRunning)
	}
	x := &executing{Exec: e, runtime: r, container: c}
	defer x.close()
	p, err := x.execute(ctx)
	if err != nil && ctx.Err() == nil && !r.alive(c.record) {
		err = errors.Join(fmt.Errorf("%w: %s", runtime.ErrNotRunning, id), err)
	}
	return p, err
}

// executing is one Exec under way.
type executing struct {
	runtime.Exec
	*container
	runtime  *Runtime
	job      *job
	launcher *launcher
	report   *os.File // our end
	console  *console
	socket   *net.UnixConn // to the parent
	proxy    int
}

func (x *executing) execute(ctx context.Context) (runtime.Process, error) {
	for _, step := range []func() error{x.prepare, x.describe, x.fork} {
		if err := step(); err != nil {
			return runtime.Process{}, err
		}
	}
	p, err := x.meet(ctx)
	if err == nil && x.launcher != nil {
		x.report.Write([]byte{1}) // to one that died there is nothing to say
		err = x.runtime.outcome(ctx, x.report, x.launcher.steps)
	}
	if err != nil {
		x.abandon(&p)
		return runtime.Process{}, err
	}
	return p, nil
}

// prepare makes what the process inherits.
func (x *executing) prepare() (err error) {
	if x.job, err = x.newJob(x.program); err != nil {
		return err
	}
	if x.Launched {
		if x.launcher, err = x.runtime.newLauncher(x.Process, false, true, len(x.ExtraFiles)); err != nil {
			return err
		}
		if x.report, x.launcher.report, err = socketPair(); err != nil {
			return err
		}
	}
	if x.Process.Terminal {
		x.console, err = listen(x.job.dir)
		return err
	}
	return x.runtime.Host.OwnPipes(x.Process, x.UIDs, x.Stdin, x.Stdout, x.Stderr)
}

// describe writes what the program is given.
func (x *executing) describe() error {
	b, err := json.Marshal(launched(x.Process, x.launcher.path()))
	if err == nil {
		err = os.WriteFile(filepath.Join(x.job.dir, processName), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("cannot describe a process: %w", err)
	}
	x.job.words = x.program.exec(x.job.dir, x.ID, x.console.address(), len(x.ExtraFiles)+x.launcher.descriptors())
	return nil
}

// fork starts the parent.
func (x *executing) fork() error {
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return err
	}
	x.socket = conn.(*net.UnixConn)
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	files := []*os.File{x.Stdin, x.Stdout, x.Stderr}
	for i := range files {
		if files[i] == nil || x.Process.Terminal {
			files[i] = null
		}
	}
	files = append(files, x.launcher.files(x.ExtraFiles)...)
	argv := append(x.runtime.Parent[:len(x.runtime.Parent):len(x.runtime.Parent)],
		parent.Args(filepath.Join(x.job.dir, pidName), len(files), x.program.stays(x.console.address()), x.job.argv())...)
	p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Dir: "/", Files: append(files, theirs), Env: os.Environ(), Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", argv[0], err)
	}
	x.proxy = p.Pid
	p.Release()
	x.launcher.close()
	return nil
}

// meet learns of the process from the parent, and gets its terminal.
func (x *executing) meet(ctx context.Context) (runtime.Process, error) {
	stop := context.AfterFunc(ctx, func() { x.socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	text, rights := make([]byte, 32), make([]byte, unix.CmsgSpace(4))
	n, oob, _, _, err := x.socket.ReadMsgUnix(text, rights)
	switch {
	case ctx.Err() != nil:
		return runtime.Process{}, ctx.Err()
	case err != nil || n == 0:
		return runtime.Process{}, x.refused()
	}
	fd, err := passed(rights[:oob])
	if err != nil {
		return runtime.Process{}, err
	}
	p := runtime.Process{Proxy: x.proxy, PidFD: os.NewFile(uintptr(fd), "pidfd")}
	if p.Pid, err = strconv.Atoi(string(text[:n])); err == nil && x.console != nil {
		if p.Console, err = x.console.receive(ctx); err == nil {
			err = x.settle(p.Console)
		}
	}
	return p, err
}

// settle does for a terminal what crun's exec does late, or not at all. The launcher
// waits for it.
func (x *executing) settle(master *os.File) error {
	var size *unix.Winsize
	if box := x.Process.ConsoleSize; box != nil {
		size = &unix.Winsize{Row: uint16(box.Height), Col: uint16(box.Width)}
	}
	return settleTerminal(master, runtime.HostID(x.Process.User.UID, x.UIDs), size)
}

// socketPair makes two ends of packets, ours with deadlines.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs"), nil
}

// refused is the program's failure to execute. A program that looks for the user's
// itself says in words what a launcher says in numbers.
func (x *executing) refused() error {
	err := x.job.failure(errors.New("it failed"), "")
	if x.launcher != nil {
		return err
	}
	step := &runtime.StepError{Step: fmt.Sprintf("execute %q", x.Process.Args[0]), Err: syscall.EACCES}
	switch text := err.Error(); {
	case strings.Contains(text, "not found") || strings.Contains(text, "no such file"):
		step.Err = syscall.ENOENT
	case !strings.Contains(text, "permission denied") && !strings.Contains(text, "exec format error"):
		return err
	}
	return step
}

// abandon kills a process that did not get as far as its program, and reaps its
// parent.
func (x *executing) abandon(p *runtime.Process) {
	if p.PidFD != nil {
		unix.PidfdSendSignal(int(p.PidFD.Fd()), unix.SIGKILL, nil, 0) // it may have ended
		p.PidFD.Close()
	} else {
		unix.Kill(x.proxy, unix.SIGKILL)
	}
	if p.Console != nil {
		p.Console.Close()
	}
	go func() { // in a container that was paused meanwhile it dies when that goes on
		if _, err := (runtime.Process{Pid: x.proxy}).Wait(); err != nil {
			x.runtime.Log.Warn("cannot wait for the parent of a process", "container", x.ID, "error", err)
		}
	}()
}

func (x *executing) close() {
	if x.job != nil {
		x.job.end()
	}
	x.launcher.close()
	x.console.close()
	if x.report != nil {
		x.report.Close()
	}
	if x.socket != nil {
		x.socket.Close()
	}
}
