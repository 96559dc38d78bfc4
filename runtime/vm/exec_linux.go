package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
	"stack/runtime/vm/monitor"
	"stack/runtime/vm/wire"
)

// Exec implements runtime.Runtime. The process is a relay in the hypervisor's
// container: its streams are those of the one in the guest, and it ends with that
// one's code. Killed, it takes that one along.
func (r *Runtime) Exec(ctx context.Context, id string, e runtime.Exec) (runtime.Process, error) {
	if !r.Machine(id) {
		return r.Runtime.Exec(ctx, id, e)
	}
	if len(e.ExtraFiles) > 0 {
		return runtime.Process{}, errors.New("a virtual machine cannot be given further descriptors")
	}
	if e.Process == nil {
		return runtime.Process{}, errors.New("invalid process: none given")
	}
	switch st, err := r.Runtime.State(ctx, id); {
	case err != nil:
		return runtime.Process{}, err
	case st.Status == runtime.Paused:
		return runtime.Process{}, fmt.Errorf("cannot execute in machine %s: %w", id, runtime.ErrPaused)
	case st.Status != runtime.Running:
		return runtime.Process{}, fmt.Errorf("cannot execute in machine %s: %w", id, runtime.ErrNotRunning)
	}
	c, err := r.dial(ctx, id)
	if err != nil {
		return runtime.Process{}, err
	}
	defer c.Close()
	m, err := c.ask(wire.Request{Op: wire.OpExec, Process: e.Process, Stdin: e.Stdin != nil || e.Process.Terminal})
	if err != nil {
		return runtime.Process{}, fmt.Errorf("cannot execute in machine %s: %w", id, err)
	}
	if m.Failure != nil {
		return runtime.Process{}, m.Failure.Err()
	}
	return r.relay(ctx, id, e, c)
}

// relay starts what stands for the process.
func (r *Runtime) relay(ctx context.Context, id string, e runtime.Exec, c *conversation) (runtime.Process, error) {
	f, err := c.file()
	if err != nil {
		return runtime.Process{}, err
	}
	defer f.Close()
	args := []string{monitor.Program, "machine-relay"}
	if e.Stdin != nil {
		args = append(args, "stdin")
	}
	if e.Process.Terminal {
		args = append(args, "terminal")
	}
	return r.Runtime.Exec(ctx, id, runtime.Exec{
		Process: &specs.Process{
			Args: args, Cwd: "/", Terminal: e.Process.Terminal, ConsoleSize: e.Process.ConsoleSize,
			Env: relayEnv(), NoNewPrivileges: true, Capabilities: &specs.LinuxCapabilities{},
		},
		Stdin: e.Stdin, Stdout: e.Stdout, Stderr: e.Stderr, ExtraFiles: []*os.File{f},
	})
}

// relayEnv keeps the Go runtime of the small processes small.
func relayEnv() []string { return []string{"GOMAXPROCS=2", "GOGC=50"} }

// Dial connects to an address as the machine's own programs would.
func (r *Runtime) Dial(ctx context.Context, id, network, address string) (net.Conn, error) {
	c, err := r.dial(ctx, id)
	if err != nil {
		return nil, err
	}
	m, err := c.ask(wire.Request{Op: wire.OpDial, Network: network, Address: address})
	if err == nil && m.Failure != nil {
		err = m.Failure.Err()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	c.stop()
	ours, theirs := net.Pipe()
	s := wire.Resume(c.Conn, 1)
	go func() {
		wire.JoinClient(s, theirs)
		s.Close()
		theirs.Close()
		c.Close()
	}()
	return ours, nil
}
