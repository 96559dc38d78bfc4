package monitor

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"stack/runtime/vm/wire"
)

// relay stands for a process in the guest: this process's standard streams are that
// one's.
type relay struct {
	stream   *wire.Stream
	stdin    bool
	terminal bool
	pumps    sync.WaitGroup
}

func newRelay(s *wire.Stream, stdin, terminal bool) *relay {
	return &relay{stream: s, stdin: stdin, terminal: terminal}
}

// Relay is a process executed in the guest: args say what it has ("stdin",
// "terminal"), ControlFD is its stream. It returns the exit code.
func Relay(args []string) int {
	f := os.NewFile(ControlFD, "control")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stack: cannot reach the machine:", err)
		return exitFailure
	}
	var r *relay
	s := wire.Resume(c, 1)
	r = newRelay(s, false, false)
	for _, a := range args {
		r.stdin, r.terminal = r.stdin || a == "stdin", r.terminal || a == "terminal"
	}
	signals := watchSignals()
	go func() {
		for sig := range signals {
			r.signal(sig)
		}
	}()
	exit, failure, err := r.run(func() {})
	switch {
	case failure != nil:
		fmt.Fprintln(os.Stderr, "stack:", failure.Err())
		return exitFailure
	case err != nil:
		return 128 + int(syscall.SIGKILL) // the machine is gone
	}
	return exit.Code
}

// run copies until the process has ended and all it wrote is out. started is called
// when the other side says so.
func (r *relay) run(started func()) (exit wire.Exit, failure *wire.Failure, err error) {
	if r.terminal {
		makeRaw(0)
		r.resize()
	}
	if r.stdin || r.terminal {
		go func() {
			w := r.stream.Writer(wire.Stdin)
			io.Copy(w, os.Stdin)
			w.Close()
		}()
	}
	r.pumps.Go(func() { io.Copy(os.Stdout, r.stream.Reader(wire.Stdout)) })
	r.pumps.Go(func() { io.Copy(os.Stderr, r.stream.Reader(wire.Stderr)) })
	for {
		var m wire.Message
		if err := r.stream.Receive(&m); err != nil {
			r.pumps.Wait()
			return exit, nil, err
		}
		switch {
		case m.Started:
			started()
		case m.Failure != nil:
			return exit, m.Failure, nil
		case m.Exit != nil:
			r.pumps.Wait()
			return *m.Exit, nil, nil
		}
	}
}

// signal passes a signal on, or the terminal's new size.
func (r *relay) signal(sig os.Signal) {
	n, ok := sig.(syscall.Signal)
	switch {
	case !ok:
	case n == syscall.SIGWINCH && r.terminal:
		r.resize()
	default:
		r.stream.Send(wire.Message{Signal: int(n)})
	}
}

func (r *relay) resize() {
	if w, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil && (w.Row > 0 || w.Col > 0) {
		r.stream.Send(wire.Message{Size: &wire.Size{Rows: w.Row, Columns: w.Col}})
	}
}

// makeRaw leaves everything to the terminal in the guest.
func makeRaw(fd int) {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	unix.IoctlSetTermios(fd, unix.TCSETS, t)
}
