package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"stack/runtime"
	"stack/runtime/native/transfer"
	"stack/runtime/vm/wire"
)

// Port is the name of the virtio-serial port to the monitor.
const Port = "stack"

// Containers is what runs the container in a machine, and shows its files.
type Containers interface {
	runtime.Runtime
	Root(ctx context.Context, id string) (*transfer.Root, error)
}

// Guest is the machine's side.
type Guest struct {
	runtime Containers
	port    *wire.Conn

	mu  sync.Mutex
	run string // the container's ID, once one is asked for
}

// Main is process 1 of a machine. make gives the runtime for a directory of records.
// It does not return: it ends with the machine.
func Main(make func(root string) Containers) {
	err := (&Guest{}).serve(make)
	fmt.Fprintln(os.Stderr, "stack: machine:", err)
	powerOff()
}

func (g *Guest) serve(make func(root string) Containers) error {
	os.Clearenv()
	if err := boot(); err != nil {
		return err
	}
	g.runtime = make(recordsDir)
	port, err := openPort(Port)
	if err != nil {
		return err
	}
	g.port = wire.New(port, 2, g.accept)
	hello, err := g.port.Open(wire.Request{Op: wire.OpHello})
	if err != nil {
		return err
	}
	defer hello.Close()
	<-g.port.Done()
	return fmt.Errorf("lost the monitor: %w", g.port.Err())
}

// accept serves one request of the host.
func (g *Guest) accept(s *wire.Stream, payload json.RawMessage) {
	defer s.Close()
	var r wire.Request
	err := json.Unmarshal(payload, &r)
	ctx := context.Background()
	switch {
	case err != nil:
	case r.Op == wire.OpRun && r.Machine != nil:
		err = g.begin(ctx, s, r)
	case r.Op == wire.OpExec && r.Process != nil:
		err = g.exec(ctx, s, r)
	case r.Op == wire.OpDial:
		err = g.dial(s, r)
	case r.Files != nil:
		err = g.files(ctx, s, r.Op, *r.Files)
	case r.Op == wire.OpState:
		err = g.state(s)
	case r.Op == wire.OpList:
		err = g.list(ctx, s)
	default:
		err = fmt.Errorf("unknown request %q", r.Op)
	}
	if err != nil {
		s.Send(wire.Message{Failure: wire.FailureOf(err)})
	}
}

// begin runs the machine's container, whose end is the machine's.
func (g *Guest) begin(ctx context.Context, s *wire.Stream, r wire.Request) error {
	g.mu.Lock()
	taken := g.run != ""
	g.run = r.Machine.ID
	g.mu.Unlock()
	if taken {
		return errors.New("the machine runs a container already")
	}
	g.container(ctx, s, r)
	powerOff()
	return nil
}

func (g *Guest) container(ctx context.Context, s *wire.Stream, r wire.Request) {
	fail := func(err error) { s.Send(wire.Message{Failure: wire.FailureOf(err)}) }
	r.Machine.Spec.Linux.CgroupsPath = "/" + containerGroup
	limitMemory(r.Machine.Spec)
	if err := g.furnish(r.Machine); err != nil {
		fail(err)
		return
	}
	p, err := g.startContainer(ctx, s, r)
	if err != nil {
		fail(err)
		return
	}
	exit := p.await(s)
	exit.OOMKilled = oomKills() > 0
	if err := g.runtime.Delete(ctx, r.Machine.ID, true); err != nil {
		fmt.Fprintln(os.Stderr, "stack: machine:", err)
	}
	unfurnish()
	s.Send(wire.Message{Exit: &exit})
	s.Close()
}

// containerID is the running container's, or an error.
func (g *Guest) containerID() (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.run == "" {
		return "", runtime.ErrNotRunning
	}
	return g.run, nil
}

// drainTime is how long what a dead process wrote is waited for, while something it
// left behind holds its output open.
const drainTime = 100 * time.Millisecond
