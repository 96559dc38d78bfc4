package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

// Hooks run, as the OCI runtime specification wants it, here:
//
//	prestart, createRuntime   in Create, before pivot_root       the creator's namespaces
//	createContainer           after those                        the container's, but the host's root
//	startContainer            in Start, before execve(2)         the container's (script_hooks_linux.go)
//	poststart                 in Start, after execve(2)          the starter's
//	poststop                  in Delete, after everything        the deleter's
//
// A hook reads the container's state from its standard input. What it writes is
// part of the error when it fails, and lost otherwise.

// hooksOf never returns nil.
func hooksOf(s *specs.Spec) *specs.Hooks {
	if s.Hooks == nil {
		return &specs.Hooks{}
	}
	return s.Hooks
}

// staging are the hooks of Create; those of runtime namespaces come first.
func staging(h *specs.Hooks) (outside, inside []specs.Hook) {
	//lint:ignore SA1019 prestart is what Docker uses
	return append(append([]specs.Hook(nil), h.Prestart...), h.CreateRuntime...), h.CreateContainer
}

func (rec *record) hookState(status specs.ContainerState, pid int) ([]byte, error) {
	b, err := json.Marshal(specs.State{
		Version: specs.Version, ID: rec.ID, Status: status, Pid: pid, Bundle: rec.Bundle, Annotations: rec.Annotations,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot encode the state for hooks: %w", err)
	}
	return b, nil
}

func validateHooks(h *specs.Hooks) error {
	if h == nil {
		return nil
	}
	outside, inside := staging(h)
	var failed []error
	for _, list := range [][]specs.Hook{outside, inside, h.StartContainer, h.Poststart, h.Poststop} {
		for _, one := range list {
			if !filepath.IsAbs(one.Path) {
				failed = append(failed, fmt.Errorf("invalid hook: path %q is not absolute", one.Path))
			}
			if one.Timeout != nil && *one.Timeout <= 0 {
				failed = append(failed, fmt.Errorf("invalid hook: timeout %d of %q is not above zero", *one.Timeout, one.Path))
			}
			for _, word := range append(append([]string{one.Path}, one.Args...), one.Env...) {
				if strings.ContainsRune(word, 0) {
					failed = append(failed, fmt.Errorf("invalid hook: zero byte in %q", word))
				}
			}
		}
	}
	return errors.Join(failed...)
}

// hookFiles are a hook's standard files and what a stub in between has to say.
type hookFiles struct{ in, out, report *os.File }

func newHookFiles(state []byte) (hookFiles, error) {
	var f hookFiles
	for _, one := range []**os.File{&f.in, &f.out, &f.report} {
		fd, err := unix.MemfdCreate("hook", unix.MFD_CLOEXEC)
		if err != nil {
			f.close()
			return f, fmt.Errorf("cannot make a file for a hook: %w", err)
		}
		*one = os.NewFile(uintptr(fd), "hook")
	}
	_, err := f.in.Write(state)
	if err == nil {
		_, err = f.in.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.close()
		return f, fmt.Errorf("cannot write a hook's input: %w", err)
	}
	return f, nil
}

func (f hookFiles) close() {
	for _, one := range []*os.File{f.in, f.out, f.report} {
		if one != nil {
			one.Close()
		}
	}
}

// said is the end of what the hook wrote.
func (f hookFiles) said() string {
	const most = 2048
	info, err := f.out.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(info.Size(), most))
	f.out.ReadAt(b, info.Size()-int64(len(b)))
	return strings.TrimSpace(string(b))
}

// runHooks runs hooks one after another in the namespaces of this process.
func runHooks(ctx context.Context, kind string, hooks []specs.Hook, state []byte) error {
	for _, h := range hooks {
		err := runHook(ctx, h, state, func(f hookFiles) (int, *os.File, error) { return forkHook(h, f) })
		if err != nil {
			return fmt.Errorf("cannot run %s hook %q: %w", kind, h.Path, err)
		}
	}
	return nil
}

func forkHook(h specs.Hook, f hookFiles) (int, *os.File, error) {
	pidfd := -1
	pid, err := syscall.ForkExec(h.Path, hookArgs(h), &syscall.ProcAttr{
		Env: h.Env, Files: []uintptr{f.in.Fd(), f.out.Fd(), f.out.Fd()},
		Sys: &syscall.SysProcAttr{PidFD: &pidfd},
	})
	return pid, os.NewFile(uintptr(pidfd), "pidfd"), err
}

// hookArgs: the specification has the program's name in them, as execv(3).
func hookArgs(h specs.Hook) []string {
	if len(h.Args) == 0 {
		return []string{h.Path}
	}
	return h.Args
}

// runHook waits for a hook that fork starts, and kills it when its time is over.
func runHook(ctx context.Context, h specs.Hook, state []byte, fork func(hookFiles) (int, *os.File, error)) error {
	f, err := newHookFiles(state)
	if err != nil {
		return err
	}
	defer f.close()
	pid, pidfd, err := fork(f)
	if err != nil {
		return err
	}
	defer pidfd.Close()
	if h.Timeout != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*h.Timeout)*time.Second)
		defer cancel()
	}
	late := awaitEnd(ctx, pidfd)
	if late != nil {
		signalProcess(pidfd, unix.SIGKILL)
	}
	status, err := reap(pid)
	if late != nil {
		return late
	}
	if err != nil {
		return err
	}
	return f.judge(status)
}

func (f hookFiles) judge(status unix.WaitStatus) error {
	record := make([]byte, stub.FailureSize+1)
	if n, _ := f.report.ReadAt(record, 0); n > 0 {
		if failure, ok := stub.ParseFailure(record[:n]); ok {
			return failure.Errno
		}
	}
	switch {
	case status.Exited() && status.ExitStatus() == 0:
		return nil
	case status.Signaled():
		return fmt.Errorf("it was ended by signal %d (%v): %s", status.Signal(), status.Signal(), f.said())
	}
	return fmt.Errorf("it exited with status %d: %s", status.ExitStatus(), f.said())
}

// staged runs the hooks of Create. It is called on rootfs.Build's thread, in the
// container's mount namespace but with the host's root.
func (c *creating) staged(ctx context.Context) error {
	outside, inside := staging(hooksOf(c.Spec))
	c.hooked = true
	state, err := c.record.hookState(specs.StateCreating, c.child.pid)
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() { done <- runHooks(ctx, "create", outside, state) }() // another thread: the creator's namespaces
	if err := <-done; err != nil {
		return err
	}
	if len(inside) == 0 {
		return nil
	}
	pid, err := innerPid(c.child.pid)
	if err != nil {
		return err
	}
	if state, err = c.record.hookState(specs.StateCreating, pid); err != nil {
		return err
	}
	if c.record.Namespaces&unix.CLONE_NEWPID != 0 {
		if err := unix.Setns(int(c.child.pidfd.Fd()), unix.CLONE_NEWPID); err != nil {
			return fmt.Errorf("cannot join the container's pid namespace: %w", err)
		}
	}
	for _, h := range inside {
		err := runHook(ctx, h, state, func(f hookFiles) (int, *os.File, error) { return c.forkInside(h, f) })
		if err != nil {
			return fmt.Errorf("cannot run createContainer hook %q: %w", h.Path, err)
		}
	}
	return nil
}

// forkInside forks a hook from the calling thread into the container's namespaces.
func (c *creating) forkInside(h specs.Hook, f hookFiles) (int, *os.File, error) {
	const initFD, reportFD, end = 3, 4, 5
	b := newBuilder()
	b.ReportTo(stub.Int(reportFD))
	b.beginning(initFD, end)
	if others := c.record.Namespaces &^ (unix.CLONE_NEWNS | unix.CLONE_NEWPID); others != 0 {
		b.Call("join the container's namespaces", unix.SYS_SETNS, stub.Int(initFD), stub.Int(others))
	}
	if c.record.UserNS {
		b.becomeRoot()
	}
	b.Call("execute", unix.SYS_EXECVE, b.String(h.Path), b.Strings(hookArgs(h)), b.Strings(h.Env))
	image, _, err := b.ELF()
	if err != nil {
		return 0, nil, err
	}
	p := stubProcess{image: image, dirs: c.stubDirs(), files: []*os.File{f.in, f.out, f.out, c.child.pidfd, f.report}}
	return p.forkHere()
}

// innerPid is a process's number in its own pid namespace.
func innerPid(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if list, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(list)
			_, err := fmt.Sscan(fields[len(fields)-1], &pid)
			return pid, err
		}
	}
	return pid, nil
}
