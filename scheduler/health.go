package scheduler

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// prober runs the health checks of one run of a container.
type prober struct {
	cancel  context.CancelFunc
	started time.Time
}

// watchHealth begins to probe a running container; called under mu, every turn.
func (c *Controller) watchHealth(ctx context.Context, i *Instance) {
	if i.Probe == nil || i.State != StateRunning {
		return
	}
	if p := c.probers[i.ID]; p != nil && p.started.Equal(i.Started) {
		return
	}
	c.unwatchHealth(i.ID)
	ctx, cancel := context.WithCancel(ctx)
	c.probers[i.ID] = &prober{cancel: cancel, started: i.Started}
	id, next := i.ID, i.Probe.NextAt()
	c.spawn(func() { c.probe(ctx, id, next) })
}

func (c *Controller) unwatchHealth(id string) {
	if p := c.probers[id]; p != nil {
		p.cancel()
		delete(c.probers, id)
	}
}

// probe runs one container's checks at the times its ProbeState says.
func (c *Controller) probe(ctx context.Context, id string, next time.Time) {
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		i, ok := c.instance(id)
		if !ok || i.Probe == nil || !i.live() {
			return
		}
		if i.State != StateRunning {
			timer.Reset(time.Second) // paused: processes in the freezer answer nothing
			continue
		}
		entry := c.check(ctx, &i)
		if ctx.Err() != nil {
			return
		}
		timer.Reset(time.Until(c.probed(id, entry)))
	}
}

// probed records a result and returns when to probe next.
func (c *Controller) probed(id string, entry ProbeEntry) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.instances[id]
	if !ok || i.Probe == nil {
		return entry.End.Add(time.Hour)
	}
	if i.Probed(entry) {
		c.save(i)
		c.publish(i, Event{Action: "health_status: " + string(i.Health), Progress: healthWord(i.Health)})
		c.Wake()
	} else if h := c.histories[i.Service]; !i.Rewritten.IsZero() && h != nil && !h.Update.Over() {
		c.nudge() // the update may have waited for this one
	}
	return i.Probe.NextAt()
}

func healthWord(h Health) string {
	if h == HealthHealthy {
		return "Healthy"
	}
	return ""
}

// check probes the container once.
func (c *Controller) check(ctx context.Context, i *Instance) ProbeEntry {
	entry := ProbeEntry{Start: c.Now()}
	run := c.checkInside
	if i.Check.Network() {
		run = c.checkNetwork
	}
	var err error
	entry.ExitCode, entry.Output, err = run(ctx, i, i.Probe.TimeoutAt(entry.Start))
	entry.End = c.Now()
	if err != nil {
		entry.ExitCode = -1
		entry.Output = err.Error()
		entry.TimedOut = os.IsTimeout(err)
	}
	return entry
}

// checkInside runs the probe's command inside the container.
func (c *Controller) checkInside(ctx context.Context, i *Instance, timeout time.Duration) (int, string, error) {
	process, err := c.Store.LoadProcess(i.ID)
	if err != nil {
		return -1, "", err
	}
	process.Args, process.Terminal = i.Check.Args(), false
	return c.execute(ctx, i.ID, process, timeout)
}

// checkNetwork connects from inside the container's network namespace, with nothing
// of its image.
func (c *Controller) checkNetwork(ctx context.Context, i *Instance, timeout time.Duration) (int, string, error) {
	st, err := c.Runtime.State(ctx, i.ID)
	if err != nil {
		return -1, "", err
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if d, ok := c.Runtime.(insideDialer); ok && d.Machine(i.ID) {
			return d.Dial(ctx, i.ID, network, address)
		}
		return c.Network.Dial(ctx, st.Pid, network, address)
	}
	return i.Check.ask(ctx, dial, timeout)
}

// insideDialer is what a runtime has whose machines have network stacks of their own.
type insideDialer interface {
	Machine(id string) bool
	Dial(ctx context.Context, id, network, address string) (net.Conn, error)
}

// outputLimit bounds what is kept of a process's output.
const outputLimit = 4096

// execute runs a process inside a container and returns its code and the
// beginning of its output. One that outlives timeout is killed and gives
// os.ErrDeadlineExceeded.
func (c *Controller) execute(ctx context.Context, id string, process *specs.Process, timeout time.Duration) (int, string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return -1, "", err
	}
	defer r.Close()
	p, err := c.Runtime.Exec(ctx, id, runtime.Exec{Process: process, Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		return -1, "", err
	}
	return reap(ctx, p, r, timeout)
}

// reap awaits an executed process, killing it when time is up.
func reap(ctx context.Context, p runtime.Process, out io.Reader, timeout time.Duration) (int, string, error) {
	text := make(chan string, 1)
	go func() { text <- head(out) }()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { p.Kill(syscall.SIGKILL) })
	exit, err := p.Wait()
	if !stop() {
		return -1, "", os.ErrDeadlineExceeded
	}
	if err != nil {
		return -1, "", err
	}
	select {
	case s := <-text:
		return exit.Code, s, nil
	case <-time.After(outputGrace):
		return exit.Code, "", nil // a child of the probe holds the pipe open
	}
}

// outputGrace is how long a finished probe's output is waited for.
const outputGrace = 100 * time.Millisecond

// head returns the first outputLimit bytes of r and discards the rest.
func head(r io.Reader) string {
	var b bytes.Buffer
	io.CopyN(&b, r, outputLimit)
	go io.Copy(io.Discard, r)
	return b.String()
}

// SaveProcess records the program of a container, so that exec and probes run as
// it does: RUN/PROJECT/instances/ID/process.json, an OCI process object.
func (s *Store) SaveProcess(id string, p *specs.Process) error {
	return writeJSON(s.processPath(id), p)
}

// LoadProcess returns a copy of what SaveProcess recorded.
func (s *Store) LoadProcess(id string) (*specs.Process, error) {
	p := new(specs.Process)
	if err := readJSON(s.processPath(id), p); err != nil {
		return nil, err
	}
	p.Env = slices.Clone(p.Env)
	return p, nil
}
