package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/stub"
)

// Start implements runtime.Runtime. It takes no lock: the first process accepts
// one starter.
func (r *Runtime) Start(ctx context.Context, id string) error {
	h, err := r.open(id)
	if err != nil {
		return err
	}
	defer h.Close()
	conn, err := h.dial()
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT) {
		return h.notWaiting()
	}
	if err != nil {
		return fmt.Errorf("cannot start container %s: %w", id, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	failure, err := start(conn)
	switch {
	case ctx.Err() != nil && (err != nil || failure != nil):
		return ctx.Err()
	case failure != nil:
		return h.explain(*failure)
	}
	if err != nil {
		return err
	}
	return r.started(ctx, h)
}

// started runs the poststart hooks. When one fails the container is stopped.
func (r *Runtime) started(ctx context.Context, h *home) error {
	if !h.Has(poststartName) {
		return nil
	}
	rec, err := h.read()
	if err != nil || rec == nil {
		return err
	}
	state, err := rec.hookState(specs.StateRunning, rec.Pid)
	if err != nil {
		return err
	}
	err = runHooks(ctx, "poststart", rec.Poststart, state)
	if err != nil {
		err = errors.Join(err, r.Kill(context.WithoutCancel(ctx), rec.ID, unix.SIGKILL, true))
	}
	return err
}

// notWaiting tells why no first process can be started.
func (h *home) notWaiting() error {
	rec, err := h.read()
	if err != nil {
		return err
	}
	if rec != nil {
		switch ok, err := alive(rec.Pid, rec.StartTime); {
		case err != nil:
			return fmt.Errorf("cannot tell whether container %s runs: %w", h.ID, err)
		case ok:
			return fmt.Errorf("container %s has been started already", h.ID)
		}
	}
	return fmt.Errorf("cannot start container %s: %w", h.ID, runtime.ErrNotRunning)
}

// explain names the step that failed. The record is read only here: a start that
// succeeds has no use for it.
func (h *home) explain(failure stub.Failure) error {
	rec, err := h.read()
	if err != nil {
		return err
	}
	if rec == nil { // deleted meanwhile
		return stepError(nil, failure)
	}
	return stepError(rec.Steps, failure)
}

// start sends the byte and waits for the end of file, which execve(2) causes, or
// for a failure.
func start(conn *os.File) (*stub.Failure, error) {
	_, err := conn.Write([]byte{1})
	var said []byte
	if err == nil {
		said, err = io.ReadAll(conn)
	}
	if errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
		// It died, or another starter was faster, before it accepted us.
		return nil, fmt.Errorf("the container's first process no longer waits: %w", runtime.ErrNotRunning)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot reach the container's first process: %w", err)
	}
	if failure, ok := stub.ParseFailure(said); ok {
		return &failure, nil
	}
	if len(said) > 0 {
		return nil, fmt.Errorf("unexpected message of %d bytes from the container's first process", len(said))
	}
	return nil, nil
}

// dial connects to the first process, if it waits.
func (h *home) dial() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, h.address()); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil { // for deadlines
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), socketName), nil
}
