package builder

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/moby/buildkit/executor"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// Network plugs the containers of RUN steps in.
type Network interface {
	// Attach gives a container with a network namespace of its own its interfaces;
	// outside says whether it may reach anything.
	Attach(ctx context.Context, id string, pid int, outside bool) error
	Detach(ctx context.Context, id string) error
}

// containers runs the steps of builds on our runtime.
type containers struct {
	runtime runtime.Runtime
	network Network
	dir     string // for files that live as long as a step
	ids     specs.LinuxIDMapping
	writers locks
	warn    func(ctx context.Context, warning string)
}

var _ executor.Executor = (*containers)(nil)

// Run implements executor.Executor.
func (c *containers) Run(ctx context.Context, id string, root executor.Mount, mounts []executor.Mount, p executor.ProcessInfo, started chan<- struct{}) (resourcestypes.Recorder, error) {
	if p.Meta.Tty {
		return nil, errors.New("a step of a build has no terminal here")
	}
	if p.Meta.Proxy != nil {
		return nil, errors.New("a step of a build has no proxy here")
	}
	if id == "" {
		id = newID()
	}
	s := &step{containers: c, id: id, root: root, mounts: mounts, ProcessInfo: p, started: started}
	defer s.close()
	code, err := s.run(ctx)
	if err == nil && accepted(p.Meta.ValidExitCodes, code) {
		return nil, nil
	}
	failure := &gatewayapi.ExitError{ExitCode: code, Err: err}
	if err != nil {
		failure.ExitCode = gatewayapi.UnknownExitStatus
	}
	if ctx.Err() != nil {
		failure.Err = context.Cause(ctx)
	}
	return nil, failure
}

// Exec implements executor.Executor. Only debuggers ask for it.
func (c *containers) Exec(context.Context, string, executor.ProcessInfo) error {
	return errors.New("cannot run a second process in a step of a build")
}

func accepted(codes []int, code uint32) bool {
	if codes == nil {
		return code == 0
	}
	return slices.Contains(codes, int(code))
}

func newID() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// step is one process of a build, in a container of its own.
type step struct {
	*containers
	executor.ProcessInfo
	id      string
	root    executor.Mount
	mounts  []executor.Mount
	started chan<- struct{}

	bundle   runtime.Bundle
	shared   []string // directories of mounts that get what several steps write
	written  string   // the directory that gets what the step writes
	stubs    stubs
	releases []func() error // in reverse order
	copies   []<-chan struct{}
}

// run gives the exit code, or why the process never ran.
func (s *step) run(ctx context.Context) (uint32, error) {
	restore, err := s.prepare(ctx)
	if err != nil {
		return 0, err
	}
	code, err := s.execute(ctx)
	return code, errors.Join(err, restore())
}

func (s *step) later(f func() error) {
	if f != nil {
		s.releases = append(s.releases, f)
	}
}

func (s *step) close() {
	for _, f := range slices.Backward(s.releases) {
		f() // nothing depends on it: the snapshots are released by their owner
	}
	if s.started != nil {
		close(s.started)
		s.started = nil
	}
}

// prepare makes the bundle. What it returns takes away the mount points that the
// runtime makes in the root file system.
func (s *step) prepare(ctx context.Context) (restore func() error, err error) {
	src, err := s.root.Src.Mount(ctx, false)
	if err != nil {
		return nil, err
	}
	m := unshared(src)
	inside := filepath.Join(s.dir, s.id)
	if err := os.Mkdir(inside, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make a directory for the step: %w", err)
	}
	s.later(func() error { return os.RemoveAll(inside) })
	if err := s.describe(ctx); err != nil {
		return nil, err
	}
	s.stubs.names = s.mountPoints()
	if err := mounted(m, s.look); err != nil {
		return nil, err
	}
	mounts, release, err := m.Mount()
	if err != nil {
		return nil, err
	}
	s.later(release)
	if err := s.setRoot(mounts); err != nil {
		return nil, err
	}
	return func() error { return mounted(m, s.stubs.remove) }, nil
}

// execute runs the container to its end.
func (s *step) execute(ctx context.Context) (uint32, error) {
	closers, err := s.streams()
	if err != nil {
		return 0, err
	}
	made, err := s.runtime.Create(ctx, s.bundle)
	for _, f := range closers {
		f.Close() // the container has its own
	}
	if err != nil {
		return 0, err
	}
	defer made.PidFD.Close()
	for _, w := range made.Warnings {
		s.warn(ctx, w)
	}
	// A step that was cut short has its container removed all the same.
	last := context.WithoutCancel(ctx)
	defer func() {
		s.runtime.Delete(last, s.id, true)
		s.network.Detach(last, s.id)
	}()
	ended := make(chan runtime.Exit, 1)
	go func() { ended <- wait(made.Pid) }()
	s.stubs.made(s.written)
	if err := s.runtime.Start(ctx, s.id); err != nil {
		s.runtime.Kill(last, s.id, syscall.SIGKILL, true)
		<-ended
		var failed *runtime.StepError
		if errors.As(err, &failed) && failed.ExitCode() > 1 {
			fmt.Fprintf(s.Stderr, "%v\n", err)
			return uint32(failed.ExitCode()), nil
		}
		return 0, err
	}
	if s.started != nil {
		close(s.started)
		s.started = nil
	}
	code := s.await(ctx, ended)
	for _, c := range s.copies {
		<-c
	}
	return code, nil
}

func wait(pid int) runtime.Exit {
	exit, err := runtime.Process{Pid: pid}.Wait()
	if err != nil {
		return runtime.Exit{Code: -1, Unknown: true}
	}
	return exit
}

// await passes signals on and kills everything when ctx is done.
func (s *step) await(ctx context.Context, ended <-chan runtime.Exit) uint32 {
	last := context.WithoutCancel(ctx)
	done := ctx.Done()
	for {
		select {
		case exit := <-ended:
			return uint32(exit.Code)
		case sig := <-s.Signal:
			s.runtime.Kill(last, s.id, sig, false)
		case <-done:
			done = nil
			s.runtime.Kill(last, s.id, syscall.SIGKILL, true)
		}
	}
}

// streams connects the container's standard streams; the caller closes the files
// once the container has them.
func (s *step) streams() (ours []*os.File, err error) {
	if s.Stdin != nil {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		go func() {
			io.Copy(w, s.Stdin)
			w.Close()
		}()
		s.bundle.Stdin, ours = r, append(ours, r)
	}
	for _, o := range []struct {
		to   io.Writer
		file **os.File
	}{{s.Stdout, &s.bundle.Stdout}, {s.Stderr, &s.bundle.Stderr}} {
		if o.to == nil {
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			return ours, err
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.Copy(o.to, r)
			r.Close()
		}()
		*o.file, ours = w, append(ours, w)
		s.copies = append(s.copies, done)
	}
	return ours, nil
}

// ownUserNS says whether the step has a user namespace of its own: not with the
// host's network, which only the host's root may use, nor if it may do everything.
func (s *step) ownUserNS() bool {
	return s.Meta.SecurityMode != pb.SecurityMode_INSECURE && s.Meta.NetMode != pb.NetMode_HOST
}
