package oci

import (
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// relay connects a container's terminal with this process's.
type relay struct {
	master *os.File
	before *term.State // of standard input, when that is a terminal
	done   chan struct{}
}

func newRelay(master *os.File) (*relay, error) {
	r := &relay{master: master, done: make(chan struct{})}
	if in := int(os.Stdin.Fd()); term.IsTerminal(in) {
		before, err := term.MakeRaw(in)
		if err != nil {
			return nil, fmt.Errorf("cannot use the terminal: %w", err)
		}
		r.before = before
	}
	go io.Copy(master, os.Stdin)
	go func() {
		io.Copy(os.Stdout, master) // ends with EIO when nobody has the other side
		close(r.done)
	}()
	return r, nil
}

// follow keeps the container's terminal as large as ours.
func (r *relay) follow() {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH)
	r.resize()
	go func() {
		for range changes {
			r.resize()
		}
	}()
}

// resize gives the container's terminal the size of ours.
func (r *relay) resize() {
	width, height, err := term.GetSize(int(os.Stdin.Fd()))
	if err != nil {
		return
	}
	raw, err := r.master.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
	})
}

func (r *relay) end() {
	<-r.done
	if r.before != nil {
		term.Restore(int(os.Stdin.Fd()), r.before)
	}
}
