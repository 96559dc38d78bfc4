package scheduler

import (
	"context"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Keeper is what the controller needs of the shim: somebody who holds what must
// outlive the controller.
type Keeper interface {
	// Stdio makes a container's streams in dir and begins to log what it writes.
	Stdio(ctx context.Context, r StdioRequest) (Stdio, error)
	// Terminal begins to log a container's terminal.
	Terminal(ctx context.Context, r TerminalRequest) error
	// Adopt names a child of the shim, whose end is to be written to exit.
	Adopt(ctx context.Context, id string, pid int, exit string) error
	// Adopted reports whether the shim waits for the end of a container.
	Adopted(id string) bool
	// Readopt names a container that outlived shim and controller both, and goes on
	// to log what it writes.
	Readopt(ctx context.Context, r ReadoptRequest) error
	// Hold keeps a descriptor under a name; Held returns a duplicate of it, nil if
	// there is none; Release lets it go.
	Hold(ctx context.Context, name string, f *os.File) error
	Held(name string) *os.File
	Release(ctx context.Context, name string) error
	// Names lists what Hold keeps.
	Names() []string
	// Forget drops everything known of a container.
	Forget(ctx context.Context, id string) error
}

// StdioRequest describes a container's streams.
type StdioRequest struct {
	ID, Dir string
	User    specs.User // host ids that own the streams
	Stdin   bool       // stays open with nobody attached
	// StdinOnce ends the input when the first client that attached closes it.
	StdinOnce bool
	LogPath   string
	Log       LogConfig
}

// TerminalRequest hands over a terminal's master; it remains the caller's to close.
type TerminalRequest struct {
	ID      string
	Master  *os.File
	LogPath string
	Log     LogConfig
}

// ReadoptRequest describes a container that runs on.
type ReadoptRequest struct {
	ID, Dir   string
	TTY       bool
	StdinOnce bool
	LogPath   string
	Log       LogConfig
	// Pid is trusted only with StartTime.
	Pid       int
	StartTime uint64
	Exit      string // path of the exit record
}

// Stdio are the container's ends; Close after the container has them.
type Stdio struct {
	Stdin, Stdout, Stderr *os.File
}

// Close closes what is open.
func (s *Stdio) Close() {
	for _, f := range []*os.File{s.Stdin, s.Stdout, s.Stderr} {
		if f != nil {
			f.Close()
		}
	}
	*s = Stdio{}
}
