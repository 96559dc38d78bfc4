package shim

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// Keeper is the controller's side of the shim: a Client that remembers what it
// handed over, so that a new shim can have it when this one dies. One controller
// has one Keeper for its whole life. Safe for concurrent use.
//
//	NewKeeper ─▶ (work) ─▶ Dead ─▶ Revive ─▶ exit the process
//
// Between Dead and exit no container must be made: its parent would be pid 1.
type Keeper struct {
	opt  StartOptions
	lock *os.File // DIR/controller.lock, for the life of the process
	wake chan struct{}
	dead chan struct{}

	deaf context.CancelFunc // ends the connection that listens for exits

	mu     sync.Mutex
	client *Client
	gen    uint64
	exits  uint64
	files  map[string]*os.File // as in Taken
	adopts map[string]Request
	stdios map[string]Request
}

// NewKeeper connects a controller to the shim that started it and takes over
// what the shim holds. It fails with fs.ErrExist beside a living controller.
func NewKeeper(ctx context.Context, o StartOptions) (*Keeper, error) {
	lock, err := openControllerLock(o.Dir + "/controller.lock")
	if err != nil {
		return nil, err
	}
	holder, err := tryControllerLock(lock)
	if err == nil && holder != 0 {
		err = fmt.Errorf("process %d is: %w", holder, os.ErrExist)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("cannot be the controller of %q: %w", o.Dir, err)
	}
	k := &Keeper{
		opt: o, lock: lock,
		wake: make(chan struct{}, 1), dead: make(chan struct{}),
		gen:   uint64(time.Now().UnixNano()), // later than any earlier controller's
		files: map[string]*os.File{}, adopts: map[string]Request{}, stdios: map[string]Request{},
	}
	if err := k.connect(ctx); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

func (k *Keeper) connect(ctx context.Context) error {
	c, err := connect(ctx, k.opt.Dir)
	if err != nil {
		return err
	}
	k.mu.Lock() // drops wait until what they name is there
	defer k.mu.Unlock()
	k.client = c
	listening, deaf := context.WithCancel(context.WithoutCancel(ctx))
	k.deaf = deaf
	err = c.listen(listening, k.told, func() { close(k.dead) })
	if err != nil {
		return err
	}
	t, err := c.Take(ctx)
	if err != nil {
		return err
	}
	k.files = t.Files
	for _, r := range t.Known {
		if r.Op == OpAdopt {
			k.adopts[r.ID] = r
		} else {
			k.stdios[r.ID] = r
		}
	}
	return nil
}

// told handles a wake packet.
func (k *Keeper) told(r Response) {
	k.mu.Lock()
	for _, d := range r.Dropped {
		k.dropped(d)
	}
	news := r.Exits != k.exits
	k.exits = r.Exits
	k.mu.Unlock()
	if !news {
		return
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// dropped lets go of what the shim let go of, unless the ID has another use by
// now. k.mu is held.
func (k *Keeper) dropped(d Drop) {
	kind, id, ok := splitName(d.Name)
	if !ok {
		return
	}
	from := k.stdios
	if kind == "pidfd" {
		from = k.adopts
	}
	if r, ok := from[id]; !ok || r.Gen != d.Gen {
		return
	}
	k.closeFile(d.Name)
	if kind == "pidfd" || !k.anyStream(id) {
		delete(from, id)
	}
}

func (k *Keeper) anyStream(id string) bool {
	for _, kind := range streamKinds {
		if k.files[kind+"/"+id] != nil {
			return true
		}
	}
	return false
}

// streamKinds are the kinds of a container's streams in a take.
var streamKinds = [...]string{"stdin", "stdout", "stderr", "tty"}

func (k *Keeper) closeFile(name string) {
	if f := k.files[name]; f != nil {
		f.Close()
		delete(k.files, name)
	}
}

// Client returns the connection, for requests that need no remembering.
func (k *Keeper) Client() *Client { return k.client }

// Exits holds a value after exits: a reason to read the exit records again.
func (k *Keeper) Exits() <-chan struct{} { return k.wake }

// Dead is closed when the shim has died (or stopped): time to Revive.
func (k *Keeper) Dead() <-chan struct{} { return k.dead }

// Adopt is Client.Adopt, remembered.
func (k *Keeper) Adopt(ctx context.Context, p Process) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := adoptRequest(p)
	if r.StartTime == 0 {
		r.StartTime, _ = StartTime(p.Pid)
	}
	k.gen++
	r.Gen = k.gen
	pidfd, err := k.client.adopt(ctx, r, nil)
	if err != nil {
		return err
	}
	k.closeFile("pidfd/" + p.ID)
	delete(k.adopts, p.ID)
	if pidfd != nil {
		k.files["pidfd/"+p.ID], k.adopts[p.ID] = pidfd, r
	}
	return nil
}

// Stdio is Client.Stdio, remembered. The caller still closes s.
func (k *Keeper) Stdio(ctx context.Context, id string, l LogConfig, s *Stdio) error {
	r := stdioRequest(id, l)
	names, files := s.ends()
	r.Streams = names
	return k.stdio(ctx, r, names, files)
}

// Terminal is Client.Terminal, remembered. The caller still closes master.
func (k *Keeper) Terminal(ctx context.Context, id string, l LogConfig, master *os.File) error {
	r := stdioRequest(id, l)
	r.Terminal = true
	return k.stdio(ctx, r, []string{"tty"}, []*os.File{master})
}

func (k *Keeper) stdio(ctx context.Context, r Request, kinds []string, files []*os.File) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gen++
	r.Gen = k.gen
	return withFiles(files, func(fds []int) error {
		if err := k.client.call(ctx, r, fds, nil); err != nil {
			return err
		}
		k.closeStreams(r.ID)
		k.stdios[r.ID] = r
		return k.keep(r.ID, kinds, fds)
	})
}

// keep remembers duplicates of a container's descriptors.
func (k *Keeper) keep(id string, kinds []string, fds []int) error {
	for i, kind := range kinds {
		n, err := dup(fds[i])
		if err != nil {
			return err
		}
		name := kind + "/" + id
		k.files[name] = os.NewFile(uintptr(n), name)
	}
	return nil
}

func (k *Keeper) closeStreams(id string) {
	for _, kind := range streamKinds {
		k.closeFile(kind + "/" + id)
	}
}

// Hold is Client.Hold, remembered.
func (k *Keeper) Hold(ctx context.Context, name string, f *os.File) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.client.Hold(ctx, name, f); err != nil {
		return err
	}
	n, err := dupFile(f)
	if err != nil {
		return err
	}
	k.closeFile(name)
	k.files[name] = os.NewFile(uintptr(n), name)
	return nil
}

// Held returns a duplicate of what is held under name ("pidfd/ID" and the like
// included); fs.ErrNotExist when there is no such thing.
func (k *Keeper) Held(name string) (*os.File, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.files[name]
	if f == nil {
		return nil, fmt.Errorf("nothing is held as %q: %w", name, os.ErrNotExist)
	}
	n, err := dupFile(f)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), name), nil
}

// Names lists what is held, without the descriptors of containers.
func (k *Keeper) Names() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	for name := range k.files {
		if _, _, ok := splitName(name); !ok {
			names = append(names, name)
		}
	}
	return names
}

// Processes lists the adopted processes whose end is not yet known.
func (k *Keeper) Processes() []Process {
	k.mu.Lock()
	defer k.mu.Unlock()
	var ps []Process
	for _, r := range k.adopts {
		ps = append(ps, Process{ID: r.ID, Pid: r.Pid, StartTime: r.StartTime, Exit: r.Exit})
	}
	return ps
}

// Adopted reports whether the shim waits for the end of a container.
func (k *Keeper) Adopted(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.adopts[id]
	return ok
}

// HasStreams reports whether the shim copies a container's output or keeps its
// input.
func (k *Keeper) HasStreams(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.anyStream(id)
}

// Release is Client.Release, and forgets.
func (k *Keeper) Release(ctx context.Context, name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closeFile(name)
	return k.client.Release(ctx, name)
}

// Forget is Client.Forget, and forgets.
func (k *Keeper) Forget(ctx context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closeFile("pidfd/" + id)
	k.closeStreams(id)
	delete(k.adopts, id)
	delete(k.stdios, id)
	return k.client.Forget(ctx, id)
}

// Stop is Client.Stop.
func (k *Keeper) Stop(ctx context.Context) error { return k.client.Stop(ctx) }

// Close closes everything, the controller's lock last. Dead is closed too.
func (k *Keeper) Close() {
	if k.deaf != nil {
		k.deaf()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.client != nil {
		k.client.Close()
	}
	for name := range k.files {
		k.closeFile(name)
	}
	k.lock.Close()
}
