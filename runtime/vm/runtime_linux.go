package vm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
	"stack/runtime/statedir"
	"stack/runtime/vm/wire"
)

// Annotations of a bundle.
const (
	// Annotation set to "vm" makes it a machine.
	Annotation = "stack.isolation"
	// KernelAnnotation is the path of a kernel.
	KernelAnnotation = "stack.vm.kernel"
)

// Options configure a Runtime.
type Options struct {
	// Root is the directory of the machines' records, made if absent (0700).
	Root string
	// Home keeps kernels and what is made of them; see package kernel.
	Home string
	// Containers runs the hypervisors, and every container that is no machine.
	Containers runtime.Runtime
	// Shim is the path of stack-shim.
	Shim string
	// Seccomp gives the hypervisor's system call filter for its capabilities.
	Seccomp func(caps []string) (*specs.LinuxSeccomp, error)
	// Boot is how long a kernel may take to come up; 0 is two minutes, for software
	// emulation on a busy host.
	Boot time.Duration
	Log  *slog.Logger
}

// Runtime runs machines, and hands what is none to another runtime.
type Runtime struct {
	runtime.Runtime // of containers
	o               Options
}

var _ runtime.Runtime = (*Runtime)(nil)

const defaultBoot = 2 * time.Minute

// New returns a runtime. It touches nothing until the first machine.
func New(o Options) *Runtime {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Boot == 0 {
		o.Boot = defaultBoot
	}
	return &Runtime{Runtime: o.Containers, o: o}
}

func (r *Runtime) dir(id string) string { return filepath.Join(r.o.Root, id) }

// Machine says whether a container is a machine.
func (r *Runtime) Machine(id string) bool {
	_, err := os.Lstat(r.dir(id))
	return err == nil
}

// Create implements runtime.Runtime.
func (r *Runtime) Create(ctx context.Context, b runtime.Bundle) (runtime.Created, error) {
	if b.Spec == nil || b.Spec.Annotations[Annotation] != "vm" {
		return r.Runtime.Create(ctx, b)
	}
	if err := statedir.CheckID(b.ID); err != nil { // its directory is made, and removed, here
		return runtime.Created{}, err
	}
	if _, err := r.Runtime.State(ctx, b.ID); err == nil {
		return runtime.Created{}, fmt.Errorf("%w: %s", runtime.ErrExists, b.ID)
	}
	made, err := r.create(ctx, b)
	if err != nil {
		err = errors.Join(err, os.RemoveAll(r.dir(b.ID)))
	}
	return made, err
}

func (r *Runtime) create(ctx context.Context, b runtime.Bundle) (runtime.Created, error) {
	p, err := r.prepare(ctx, b)
	if err != nil {
		return runtime.Created{}, err
	}
	listener, err := r.listen(b.ID)
	if err != nil {
		return runtime.Created{}, err
	}
	defer listener.Close()
	outer, err := p.bundle()
	if err != nil {
		return runtime.Created{}, err
	}
	outer.ExtraFiles = []*os.File{listener}
	made, err := r.Runtime.Create(ctx, outer)
	made.Warnings = append(made.Warnings, p.warnings...)
	return made, err
}

// Start implements runtime.Runtime: it returns when the program runs in the guest.
func (r *Runtime) Start(ctx context.Context, id string) error {
	if !r.Machine(id) {
		return r.Runtime.Start(ctx, id)
	}
	if err := r.Runtime.Start(ctx, id); err != nil {
		return err
	}
	c, err := r.dial(ctx, id)
	if err != nil {
		return err
	}
	defer c.Close()
	m, err := c.ask(wire.Request{Op: wire.OpAwait})
	switch {
	case err != nil:
		return fmt.Errorf("cannot start machine: it ended before its program ran: %w", err)
	case m.Failure != nil:
		return startError(m.Failure)
	}
	return nil
}

// startError is a failed step as it is, or what went wrong with the machine.
func startError(f *wire.Failure) error {
	err := f.Err()
	var step *runtime.StepError
	if errors.As(err, &step) {
		return err
	}
	return fmt.Errorf("cannot start machine: %w", err)
}

// Kill implements runtime.Runtime. The monitor passes signals on, and SIGKILL takes
// the machine's power.
func (r *Runtime) Kill(ctx context.Context, id string, sig syscall.Signal, all bool) error {
	if all && sig != syscall.SIGKILL && r.Machine(id) {
		all = false
	}
	return r.Runtime.Kill(ctx, id, sig, all)
}

// Delete implements runtime.Runtime.
func (r *Runtime) Delete(ctx context.Context, id string, force bool) error {
	if err := statedir.CheckID(id); err != nil {
		return err
	}
	err := r.Runtime.Delete(ctx, id, force)
	if err == nil || errors.Is(err, runtime.ErrNotFound) {
		if gone := os.RemoveAll(r.dir(id)); gone != nil {
			return gone
		}
	}
	return err
}

// Update implements runtime.Runtime. Of a running machine only its share of the
// processors can be changed.
func (r *Runtime) Update(ctx context.Context, id string, l *specs.LinuxResources) error {
	if r.Machine(id) && (l.Memory != nil || l.Pids != nil) {
		return errors.New("the memory and the processes of a running virtual machine cannot be limited anew")
	}
	return r.Runtime.Update(ctx, id, l)
}

// OOMEvents is the method of that name of the runtime of containers. What runs out of
// memory in a guest is its own kernel's business.
func (r *Runtime) OOMEvents(ctx context.Context, id string) (<-chan struct{}, error) {
	w, ok := r.Runtime.(interface {
		OOMEvents(ctx context.Context, id string) (<-chan struct{}, error)
	})
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return w.OOMEvents(ctx, id)
}

// Stats implements runtime.Runtime: processor and memory are the hypervisor's, which
// is what the machine costs; processes the guest's.
func (r *Runtime) Stats(ctx context.Context, id string) (runtime.Stats, error) {
	st, err := r.Runtime.Stats(ctx, id)
	if err != nil || !r.Machine(id) {
		return st, err
	}
	st.Pids, st.PidsLimit = 0, 0
	if u, err := r.usage(ctx, id, wire.OpState); err == nil {
		st.Pids = u.Pids
	}
	return st, nil
}
