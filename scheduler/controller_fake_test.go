package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/netns"
	"stack/runtime"
	"stack/runtime/image"
	"stack/runtime/shim"
	"stack/spec"
)

// machine is a host on which containers are entries of a map: the controller's
// loop is tested for what it decides, the kernel has its own tests.
type machine struct {
	t  *testing.T
	mu sync.Mutex
	// running are the first processes by container ID; exits where their end is
	// to be recorded.
	running map[string]int
	exits   map[string]string
	started []string // container IDs in order
	pid     int
	born    uint64 // every process's start time
	// refuse makes Start of a container whose program is so named fail.
	refuse map[string]error
	// stubborn programs ignore everything but SIGKILL.
	stubborn map[string]bool
	programs map[string]string
	files    map[string][]runtime.File // by container, of its last creation
	applied  []netns.Config
	told     []string // what the network and containers were told, in order
	build    string   // part of every image's digest
	shimGone error    // what the shim answers
	wake     func()
	ooms     chan struct{} // what OOMEvents gives
	// forgetting is called when the shim is told to forget a container, the last
	// step of its removal before its files go.
	forgetting func(id string)
	// keeping is called when images are to stay.
	keeping func(imgs []image.Image) (io.Closer, error)
	// starting is called when a program has started, before its start has ended.
	starting func(id string)
	detached [][]string    // the containers of each Detach
	leases   []netns.Lease // of every network
}

func newMachine(t *testing.T) *machine {
	return &machine{t: t, running: map[string]int{}, exits: map[string]string{}, refuse: map[string]error{},
		stubborn: map[string]bool{}, programs: map[string]string{}, files: map[string][]runtime.File{}, wake: func() {}}
}

// set changes the machine while a controller may look at it.
func (m *machine) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// refuses makes every start of a program fail.
func (m *machine) refuses(program string) {
	m.set(func() {
		m.refuse[program] = &runtime.StepError{Step: fmt.Sprintf("execute %q", program), Err: errors.New("no such file")}
	})
}

// end finishes a container's first process.
func (m *machine) end(id string, code int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.running[id]; !ok {
		return
	}
	delete(m.running, id)
	rec := shim.ExitRecord{Version: 1, ID: id, Exit: runtime.Exit{Code: code, At: time.Now()}}
	if err := writeJSON(m.exits[id], rec); err != nil {
		m.t.Error(err)
	}
	m.wake()
}

func (m *machine) tell(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = append(m.told, what)
}

func (m *machine) alive() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.running)
}

type fakeRuntime struct{ *machine }

func (f fakeRuntime) Create(ctx context.Context, b runtime.Bundle) (runtime.Created, error) {
	f.mu.Lock()
	f.pid++
	pid := f.pid
	f.programs[b.ID], f.files[b.ID] = b.Spec.Process.Args[0], b.Files
	f.mu.Unlock()
	if err := b.Adopt(ctx, pid); err != nil {
		return runtime.Created{}, err
	}
	return runtime.Created{Pid: pid}, b.Attach(ctx, pid)
}

func (f fakeRuntime) Start(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refuse[f.programs[id]]; err != nil {
		return err
	}
	f.running[id] = f.pid
	f.started = append(f.started, id)
	if then := f.starting; then != nil {
		f.mu.Unlock()
		then(id)
		f.mu.Lock()
	}
	return nil
}

func (f fakeRuntime) Kill(_ context.Context, id string, sig syscall.Signal, _ bool) error {
	f.tell("kill")
	f.mu.Lock()
	_, ok := f.running[id]
	ignored := f.stubborn[f.programs[id]] && sig != syscall.SIGKILL
	f.mu.Unlock()
	if !ok {
		return runtime.ErrNotRunning
	}
	if !ignored {
		f.end(id, 128+int(sig))
	}
	return nil
}

func (f fakeRuntime) Delete(_ context.Context, id string, _ bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, id)
	return runtime.ErrNotFound
}

func (f fakeRuntime) State(_ context.Context, id string) (runtime.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pid, ok := f.running[id]
	if !ok {
		return runtime.State{}, runtime.ErrNotFound
	}
	if pid == 0 {
		return runtime.State{ID: id, Status: runtime.Stopped}, nil
	}
	return runtime.State{ID: id, Status: runtime.Running, Pid: pid, StartTime: f.born}, nil
}

var errNotHere = errors.New("not on this machine")

func (f fakeRuntime) List(context.Context) ([]runtime.State, error) { return nil, nil }
func (f fakeRuntime) Exec(context.Context, string, runtime.Exec) (runtime.Process, error) {
	return runtime.Process{}, errNotHere
}
func (f fakeRuntime) Pause(context.Context, string) error  { return nil }
func (f fakeRuntime) Resume(context.Context, string) error { return nil }
func (f fakeRuntime) Update(context.Context, string, *specs.LinuxResources) error {
	return errNotHere
}
func (f fakeRuntime) Stats(context.Context, string) (runtime.Stats, error) {
	return runtime.Stats{}, errNotHere
}
func (f fakeRuntime) Pids(context.Context, string) ([]int, error) { return nil, errNotHere }

func (f fakeRuntime) OOMEvents(ctx context.Context, _ string) (<-chan struct{}, error) {
	out := make(chan struct{})
	context.AfterFunc(ctx, sync.OnceFunc(func() { close(out) }))
	if f.ooms == nil {
		return out, nil
	}
	return f.ooms, nil
}

type fakeNetwork struct{ *machine }

func (f fakeNetwork) Apply(_ context.Context, c netns.Config) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = append(f.applied, c)
	return nil
}
func (f fakeNetwork) Attach(context.Context, []netns.Endpoint, int) ([]netns.Lease, error) {
	return nil, nil
}
func (f fakeNetwork) Loopback(context.Context, int) error { return nil }
func (f fakeNetwork) Dial(context.Context, int, string, string) (net.Conn, error) {
	return nil, syscall.ECONNREFUSED
}
func (f fakeNetwork) Detach(_ context.Context, containers ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.detached = append(f.detached, containers)
	return nil
}
func (f fakeNetwork) Lead(context.Context) error { f.tell("lead"); return nil }
func (f fakeNetwork) Watch(func())               {}
func (f fakeNetwork) Subscribe(func()) error     { return nil }
func (f fakeNetwork) Observe(context.Context, map[string]int) (netns.Seen, error) {
	return netns.Seen{}, nil
}
func (f fakeNetwork) Services(string) ([]netns.ServiceLease, error)   { return nil, nil }
func (f fakeNetwork) ResumeDNS(string, int, *os.File, *os.File) error { return errNotHere }
func (f fakeNetwork) Balance(_ context.Context, c netns.Config) error {
	f.tell(fmt.Sprintf("balance %d of %d", len(destinations(c)), len(c.Ports)))
	return nil
}
func (f fakeNetwork) Leases(string) ([]netns.Lease, error)               { return f.machine.leases, nil }
func (f fakeNetwork) Remove(context.Context) error                       { return nil }
func (f fakeNetwork) Lookup(string) (netns.Network, bool, error)         { return netns.Network{}, false, nil }
func (f fakeNetwork) Reserve(p netns.Port) (netns.Port, *os.File, error) { return p, nil, errNotHere }
func (f fakeNetwork) ListenDNS(string, int) (udp, tcp *os.File, err error) {
	return nil, nil, errNotHere
}

type fakeImages struct {
	*machine
	dir string
}

func (f fakeImages) Resolve(_ context.Context, ref, _ string) (image.Image, error) {
	if ref == "rootfs:/missing" {
		return image.Image{}, image.ErrNotFound
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return image.Image{Ref: ref, Digest: "sha256:" + ref + f.build, Layers: []string{f.dir}}, nil
}

func (f fakeImages) Keep(_ context.Context, imgs ...image.Image) (io.Closer, error) {
	f.mu.Lock()
	keeping := f.keeping
	f.mu.Unlock()
	if keeping == nil {
		return io.NopCloser(nil), nil
	}
	return keeping(imgs)
}

func (f fakeImages) CopyOut(context.Context, image.Image, string, string) (bool, error) {
	return false, nil
}

type fakeKeeper struct{ *machine }

func (f fakeKeeper) Stdio(context.Context, StdioRequest) (Stdio, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Stdio{}, f.shimGone
}
func (f fakeKeeper) Terminal(context.Context, TerminalRequest) error { return nil }
func (f fakeKeeper) Adopt(_ context.Context, id string, _ int, exit string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.exits[id] = exit
	return nil
}
func (f fakeKeeper) Adopted(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.running[id]
	return ok
}
func (f fakeKeeper) Readopt(ctx context.Context, r ReadoptRequest) error {
	return f.Adopt(ctx, r.ID, r.Pid, r.Exit)
}
func (f fakeKeeper) Names() []string                              { return nil }
func (f fakeKeeper) Hold(context.Context, string, *os.File) error { return nil }
func (f fakeKeeper) Held(string) *os.File                         { return nil }
func (f fakeKeeper) Release(context.Context, string) error        { return nil }
func (f fakeKeeper) Forget(_ context.Context, id string) error {
	f.mu.Lock()
	then := f.forgetting
	f.mu.Unlock()
	if then != nil {
		then(id)
	}
	return nil
}

// bench is a controller on a machine, with the state directories of a project.
type bench struct {
	*machine
	store *Store
	c     *Controller
	end   func()
	over  chan struct{} // closed when the controller has ended
}

func newBench(t *testing.T) *bench {
	b := &bench{machine: newMachine(t)}
	root := t.TempDir()
	b.store = &Store{Layout: Layout{Run: filepath.Join(root, "run"), Lib: filepath.Join(root, "lib")}, Project: "p"}
	b.boot()
	t.Cleanup(func() { b.end(); <-b.over })
	return b
}

// boot starts a controller on what is recorded, as after a crash of the last one.
func (b *bench) boot() {
	if b.end != nil {
		b.end()
		<-b.over
	}
	c, err := NewController(Config{
		Store: b.store, Runtime: fakeRuntime{b.machine}, Network: fakeNetwork{b.machine},
		Images: fakeImages{b.machine, b.t.TempDir()}, Keeper: fakeKeeper{b.machine}, Machine: Machine{CPUs: 2},
		Seccomp: func([]string) (*Seccomp, error) { return &Seccomp{DefaultAction: specs.ActAllow}, nil },
		Log:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.c = c
	b.set(func() { b.wake = c.Wake })
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	b.end, b.over = cancel, over
	go func() {
		defer close(over)
		c.Run(ctx)
	}()
}

// do carries out a command within a bound.
func (b *bench) do(cmd Command, st *spec.Stack) error {
	b.t.Helper()
	if st != nil {
		text, err := spec.Encode(st)
		if err != nil {
			b.t.Fatal(err)
		}
		cmd.Spec = text
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if !b.c.Enter() {
		b.boot()
		b.c.Enter()
	}
	defer b.c.Leave()
	return b.c.Do(ctx, cmd, func(Reply) {})
}

// instances returns the records by name.
func (b *bench) instances() map[string]*Instance {
	list, err := b.store.Instances()
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string]*Instance{}
	for _, i := range list {
		out[i.Name] = i
	}
	return out
}
