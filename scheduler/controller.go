package scheduler

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/netns"
	"stack/runtime"
	"stack/runtime/image"
	"stack/scheduler/watch"
)

// Config is what a controller is made of.
type Config struct {
	Store   *Store
	Runtime runtime.Runtime
	Network Network
	Images  Images
	// Files are the containers', for what is synced into them.
	Files Files
	// Build makes the image of a service anew; nil where images are not built.
	Build   func(ctx context.Context, p *types.Project, service string) error
	Keeper  Keeper
	Machine Machine
	// CDIDirs are where vendors' specifications of devices lie.
	CDIDirs []string
	// Mount makes a file system that is attached nowhere.
	Mount func(kind, device string, options []string) (*os.File, error)
	// Neighbour finds a running container of another project by its name or ID, whose
	// namespaces are joined.
	Neighbour func(ctx context.Context, container string) (Peer, error)
	// Seccomp and ParseSeccomp give system call filters; see TranslateInput.
	Seccomp      func(caps []string) (*Seccomp, error)
	ParseSeccomp func(profile string, caps []string) (*Seccomp, error)
	// Version is this program's.
	Version string
	// Live loads the stack file again; nil where that cannot be.
	Live LiveLoader
	Log  *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Seccomp is an OCI system call filter.
type Seccomp = specs.LinuxSeccomp

// Network is what the controller needs of package netns.
type Network interface {
	Apply(ctx context.Context, c netns.Config) error
	Attach(ctx context.Context, e []netns.Endpoint, pid int) ([]netns.Lease, error)
	Loopback(ctx context.Context, pid int) error
	// Reserve binds a published port on the host, choosing it when HostPort is 0.
	Reserve(p netns.Port) (netns.Port, *os.File, error)
	Detach(ctx context.Context, containers ...string) error
	// Balance changes which containers published ports and services lead to; Lead
	// brings that to the clients inside the containers.
	Balance(ctx context.Context, c netns.Config) error
	Lead(ctx context.Context) error
	// Watch calls changed when another stack changes services on a shared network.
	Watch(changed func())
	// Subscribe calls changed when somebody else may have taken away or altered what
	// Apply made; Observe tells what, given the first processes of containers.
	Subscribe(changed func()) error
	Observe(ctx context.Context, live map[string]int) (netns.Seen, error)
	Services(network string) ([]netns.ServiceLease, error)
	Leases(network string) ([]netns.Lease, error)
	// ListenDNS makes the two sockets of the embedded resolver inside a container's
	// namespace, redirects 127.0.0.11:53 to them and leads to services. ResumeDNS
	// tells of sockets that an earlier controller made.
	ListenDNS(container string, pid int) (udp, tcp *os.File, err error)
	ResumeDNS(container string, pid int, udp, tcp *os.File) error
	// Dial connects to an address inside the network namespace of a process.
	Dial(ctx context.Context, pid int, network, address string) (net.Conn, error)
	Remove(ctx context.Context) error
	Lookup(name string) (netns.Network, bool, error)
}

// Images is what the controller needs of package image.
type Images interface {
	image.Resolver
}

// Controller keeps one project as its wish says. All state below mu is owned by
// whoever holds it; operations run without it and come back to it at their end.
type Controller struct {
	Config
	Bus Bus

	booted time.Time
	wake   chan struct{} // capacity 1: a wake is a hint to look, never data
	look   atomic.Bool   // the next turn reads the exit records; see nudge

	mu        sync.Mutex
	want      Want
	instances map[string]*Instance
	images    map[string]image.Image       // by service, of the last resolution
	looked    map[string]bool              // services whose last up is to see a changed image
	sources   map[string]map[string]string // by service, digests of the images it mounts, by reference
	histories map[string]*History          // by service, without recipes
	inFlight  map[string]Op
	failed    map[string]string
	left      map[string]bool // networks and volumes that a down left to who needs them
	waiters   map[*waiter]struct{}
	probers   map[string]*prober
	memory    map[string]*memoryWatch
	made      map[string]madeNetwork        // networks by key
	opening   map[string]bool               // starts under way: their endpoints and ports are wanted
	plugged   map[string]bool               // containers that may have links, ports, streams
	parked    []string                      // containers whose links go with the project
	proxies   map[string]context.CancelFunc // by reservation
	served    netns.Clients                 // that they serve together
	held      map[string]chan struct{}      // one-offs that wait for their client
	shared    *shared                       // of the command that stands
	reload    *hotReload                    // while a client watches
	quiet     quiet
	live      *live              // while a client follows the stack file
	resting   context.CancelFunc // ends the following of the recorded source
	waits     *liveEdit          // for consent, as whoever follows the stack file saw it last
	running   context.Context    // Run's; nil before it
	resumed   chan struct{}      // closed when Run knows what an earlier controller left
	plan      Plan
	clients   int       // requests under way
	ended     bool      // Run is over: nobody would answer a request
	idleSince time.Time // when nothing was left to do; zero while something is

	ops     sync.WaitGroup
	starts  chan struct{} // bounds the starts under way
	network *coalescer
	balance balance
	healing healing
	tally   tally
	volumes volumeWatch
	inotify watch.Instance // of all that is watched for services and the live file
	dns     *resolver

	applying  sync.Mutex // one configuration at a time goes to Network, newest last
	applied   bool       // Network knows the project
	reserving sync.Mutex // guards the Keeper's reservations of ports
}

// startsAtOnce is how many replicas are made at a time: more only contend for the
// kernel's network and mount locks.
const startsAtOnce = 6

// NewController loads the project's record; Run makes it true.
func NewController(cfg Config) (*Controller, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Controller{
		Config: cfg, booted: cfg.Now(), wake: make(chan struct{}, 1),
		instances: map[string]*Instance{}, images: map[string]image.Image{}, looked: map[string]bool{}, sources: map[string]map[string]string{},
		inFlight: map[string]Op{}, failed: map[string]string{}, left: map[string]bool{},
		waiters: map[*waiter]struct{}{}, probers: map[string]*prober{}, memory: map[string]*memoryWatch{},
		proxies: map[string]context.CancelFunc{}, served: netns.DefaultClients(), opening: map[string]bool{}, plugged: map[string]bool{}, held: map[string]chan struct{}{},
		starts: make(chan struct{}, startsAtOnce), shared: newShared(), resumed: make(chan struct{}),
	}
	c.network = newCoalescer(c.applyNetwork)
	c.balance.write, c.balance.lead = newCoalescer(c.writeBalance), newCoalescer(c.leadClients)
	c.dns = newResolver(cfg.Network, cfg.Keeper, cfg.Log)
	if err := cfg.Store.Init(); err != nil {
		return nil, err
	}
	w, err := cfg.Store.LoadWish()
	if err != nil {
		return nil, err
	}
	if c.want, err = NewWant(w); err != nil {
		return nil, err
	}
	if c.made, err = cfg.Store.loadNetworks(); err != nil {
		return nil, err
	}
	if c.histories, err = cfg.Store.Histories(); err != nil {
		return nil, err
	}
	if err := c.goOn(); err != nil {
		return nil, err
	}
	all, err := cfg.Store.Instances()
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		c.instances[i.ID] = i
		c.plugged[i.ID] = true // perhaps: an earlier controller may have died
	}
	return c, nil
}

// Wake makes the loop look again.
func (c *Controller) Wake() {
	c.look.Store(true)
	c.nudge()
}

// nudge makes the loop plan again when an operation of its own has ended. Nobody's
// exit is news then but that of the container which the operation started: with many
// starting at once, reading every record at the end of each start would be quadratic.
func (c *Controller) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run loops until ctx ends or the project has nothing left to keep: then it
// returns nil and the caller stops the shim.
func (c *Controller) Run(ctx context.Context) error {
	c.Network.Watch(c.balance.lead.Ask)
	if err := c.Network.Subscribe(c.suspect); err != nil {
		c.Log.Warn("losses on the host will not be repaired by themselves", "error", err)
	}
	defer c.volumes.close()
	c.resume(ctx)
	c.mu.Lock()
	c.running = ctx
	c.resumeLive()
	c.mu.Unlock()
	close(c.resumed)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			c.ops.Wait()
			return ctx.Err()
		case <-c.wake:
		case <-timer.C:
			c.look.Store(true)
		}
		again, idle := c.turn(ctx)
		if idle {
			return nil
		}
		timer.Stop()
		if again > 0 {
			timer.Reset(again)
		}
	}
}

// idleExit is how long a controller with nothing to keep stays for a next command.
const idleExit = 500 * time.Millisecond

// turn is one round: observe, plan, start what can start, answer who waits. It
// returns when to look again at the latest (0: only when woken), and whether
// nothing is left to keep.
func (c *Controller) turn(ctx context.Context) (again time.Duration, idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	c.tally.turn()
	c.observe(ctx, now)
	c.noteRevisions()
	seen := c.observed()
	c.watchVolumes(seen.Volumes)
	c.plan = Reconcile(c.want, seen, now)
	c.noteProgress()
	for _, op := range c.plan.Ops {
		if len(op.After) == 0 {
			c.begin(ctx, op)
		}
	}
	if wait := c.rebalance(now); wait > 0 {
		c.plan.requeue(wait)
	}
	if wait := c.heal(ctx, now); wait > 0 {
		c.plan.requeue(wait)
	}
	c.sweepPorts(ctx)
	c.answer(now)
	return c.rest(now)
}

// rest decides how long to sleep and whether to end.
func (c *Controller) rest(now time.Time) (time.Duration, bool) {
	if c.ended {
		return idleExit, c.clients == 0
	}
	again := c.plan.RequeueAfter
	for w := range c.waiters {
		if !w.deadline.IsZero() {
			left := max(w.deadline.Sub(now), time.Millisecond)
			if again == 0 || left < again {
				again = left
			}
		}
	}
	if len(c.inFlight) > 0 || c.clients > 0 || len(c.waiters) > 0 || c.plan.RequeueAfter > 0 || c.anyLive() || c.keepsLive() {
		c.idleSince = time.Time{}
		return again, false
	}
	if c.idleSince.IsZero() {
		c.idleSince = now
	}
	left := idleExit - now.Sub(c.idleSince)
	c.ended = left <= 0
	return max(left, time.Millisecond), c.ended
}

// sorted lists the instances in an order that stays; called under mu.
func (c *Controller) sorted() []*Instance {
	return slices.SortedFunc(maps.Values(c.instances), func(a, b *Instance) int { return strings.Compare(a.ID, b.ID) })
}

func (c *Controller) anyLive() bool {
	for _, i := range c.instances {
		if i.live() {
			return true
		}
	}
	return false
}

// Ended reports whether Run decided that nothing is left to keep.
func (c *Controller) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Plan returns the plan of the last turn, and what an edit waits for.
func (c *Controller) Plan() Plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.plan
	if e := c.waits; e != nil && e.base == c.want.Stack {
		p.Consent = e.reasons
	}
	return p
}
