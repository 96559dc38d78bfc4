package guest

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/vm/wire"
)

// process is the container's first process or an executed one, and its streams.
type process struct {
	runtime.Process
	kill    func(syscall.Signal)
	outputs []*os.File // our ends
	pumps   sync.WaitGroup
}

// stdio are the two ends of the pipes for a process without terminal.
type stdio struct{ ours, theirs [3]*os.File }

func newStdio(stdin bool) (p stdio, err error) {
	for i := range p.ours {
		if i == 0 && !stdin {
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			p.close()
			return p, err
		}
		if p.ours[i], p.theirs[i] = r, w; i == 0 {
			p.ours[i], p.theirs[i] = w, r
		}
	}
	return p, nil
}

func (p *stdio) release() { closeFiles(p.theirs[:]) }

func (p *stdio) close() {
	closeFiles(p.ours[:])
	closeFiles(p.theirs[:])
}

func closeFiles(list []*os.File) {
	for _, f := range list {
		if f != nil {
			f.Close()
		}
	}
}

// startContainer creates and starts the container.
func (g *Guest) startContainer(ctx context.Context, s *wire.Stream, r wire.Request) (*process, error) {
	m := r.Machine
	b := runtime.Bundle{ID: m.ID, Spec: m.Spec, Root: m.Root, Files: m.Files}
	pipes, err := g.pipes(m.Spec.Process.Terminal, r.Stdin)
	if err != nil {
		return nil, err
	}
	b.Stdin, b.Stdout, b.Stderr = pipes.theirs[0], pipes.theirs[1], pipes.theirs[2]
	made, err := g.runtime.Create(ctx, b)
	pipes.release()
	if err != nil {
		pipes.close()
		return nil, err
	}
	p := &process{
		Process: runtime.Process{Pid: made.Pid, PidFD: made.PidFD, Console: made.Console},
		kill:    func(sig syscall.Signal) { g.runtime.Kill(ctx, m.ID, sig, false) },
	}
	p.connect(s, pipes)
	if err := g.runtime.Start(ctx, m.ID); err != nil {
		return nil, err
	}
	go p.obey(s)
	return p, s.Send(wire.Message{Started: true})
}

// exec runs one more process in the container, to its end.
func (g *Guest) exec(ctx context.Context, s *wire.Stream, r wire.Request) error {
	id, err := g.containerID()
	if err != nil {
		return err
	}
	pipes, err := g.pipes(r.Process.Terminal, r.Stdin)
	if err != nil {
		return err
	}
	made, err := g.runtime.Exec(ctx, id, runtime.Exec{
		Process: r.Process, Stdin: pipes.theirs[0], Stdout: pipes.theirs[1], Stderr: pipes.theirs[2],
	})
	pipes.release()
	if err != nil {
		pipes.close()
		return err
	}
	// Through a handle: the pid may be another's once it was waited for.
	handle, err := os.FindProcess(made.Pid)
	if err != nil {
		return err
	}
	defer handle.Release()
	p := &process{Process: made, kill: func(sig syscall.Signal) { handle.Signal(sig) }}
	p.connect(s, pipes)
	if err := s.Send(wire.Message{Started: true}); err != nil {
		p.kill(unix.SIGKILL)
	}
	go func() {
		p.obey(s)
		p.kill(unix.SIGKILL) // nobody is there any more
	}()
	exit := p.await(s)
	return s.Send(wire.Message{Exit: &exit})
}

func (g *Guest) pipes(terminal, stdin bool) (stdio, error) {
	if terminal {
		return stdio{}, nil
	}
	return newStdio(stdin)
}

// connect copies between the process's streams and the host's.
func (p *process) connect(s *wire.Stream, pipes stdio) {
	out := []*os.File{pipes.ours[1], pipes.ours[2]}
	in := pipes.ours[0]
	if p.Console != nil {
		out, in = []*os.File{p.Console}, p.Console
	}
	for i, f := range out {
		p.outputs = append(p.outputs, f)
		p.pumps.Go(func() { io.Copy(s.Writer(wire.Stdout+wire.Channel(i)), f) })
	}
	if in != nil {
		go func() {
			io.Copy(in, s.Reader(wire.Stdin))
			if p.Console == nil {
				in.Close()
			}
		}()
	}
}

// obey does what the host says until it says no more.
func (p *process) obey(s *wire.Stream) {
	for {
		var m wire.Message
		if err := s.Receive(&m); errors.Is(err, io.EOF) {
			return
		}
		switch {
		case m.Signal > 0:
			p.kill(syscall.Signal(m.Signal))
		case m.Size != nil && p.Console != nil:
			setSize(p.Console, *m.Size)
		}
	}
}

func setSize(console *os.File, s wire.Size) {
	c, err := console.SyscallConn()
	if err != nil {
		return
	}
	c.Control(func(fd uintptr) {
		unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Columns})
	})
}

// await waits for the process and for what it wrote.
func (p *process) await(s *wire.Stream) wire.Exit {
	exit, err := p.Wait()
	if err != nil {
		exit.Code = 255
	}
	for _, f := range p.outputs {
		f.SetReadDeadline(time.Now().Add(drainTime))
	}
	p.pumps.Wait()
	closeFiles(p.outputs)
	s.Writer(wire.Stdout).Close()
	s.Writer(wire.Stderr).Close()
	return wire.Exit{Code: exit.Code}
}
