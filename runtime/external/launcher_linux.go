package external

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// launcher is what the program executes instead of the user's, and where it
// reports. All methods do with nil: there is none.
type launcher struct {
	image  *os.File
	report *os.File // its end
	steps  []byte
	fd     int // of image in the container
}

// newLauncher makes a launcher for p whose descriptors come after extra of the
// user's. The caller adds report.
func (r *Runtime) newLauncher(p *specs.Process, init, wait bool, extra int) (*launcher, error) {
	l := &launcher{fd: 3 + extra}
	var err error
	l.image, l.steps, err = r.Host.Launcher(p, init, wait, l.fd, l.fd+1)
	return l, err
}

// path is what executes the launcher inside the container.
func (l *launcher) path() string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("/proc/self/fd/%d", l.fd)
}

// descriptors is how many the launcher needs.
func (l *launcher) descriptors() int {
	if l == nil {
		return 0
	}
	return 2
}

// files are all descriptors from 3 on.
func (l *launcher) files(extra []*os.File) []*os.File {
	if l == nil {
		return extra
	}
	return append(extra[:len(extra):len(extra)], l.image, l.report)
}

func (l *launcher) close() {
	if l == nil {
		return
	}
	if l.image != nil {
		l.image.Close()
	}
	if l.report != nil {
		l.report.Close()
	}
}

// makeReport makes the FIFO that a starter reads, and opens it for the launcher.
func (h *home) makeReport() (*os.File, error) {
	if err := unix.Mkfifo(h.Name(reportName), 0o600); err != nil {
		return nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	reader, err := h.openReport() // or the writer's open would wait for one
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	f, err := os.OpenFile(h.Name(reportName), os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open a pipe: %w", err)
	}
	return f, nil
}

func (h *home) openReport() (*os.File, error) {
	f, err := os.OpenFile(h.Name(reportName), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open a pipe: %w", err)
	}
	return f, nil
}

// outcome waits until the launcher has executed the user's program, or says why it
// could not.
func (r *Runtime) outcome(ctx context.Context, report *os.File, steps []byte) error {
	stop := context.AfterFunc(ctx, func() { report.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	said, err := io.ReadAll(report)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("cannot hear of the container's process: %w", err)
	}
	return r.Host.Explain(steps, said)
}
