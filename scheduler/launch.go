package scheduler

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/netns"
	"stack/runtime"
	"stack/runtime/image"
	"stack/runtime/quota"
	"stack/runtime/shim"
	"stack/spec"
)

// start brings a recorded instance to running. Its failure is the instance's: it
// is told with the next turn and not repeated before a person's next command.
func (c *Controller) start(ctx context.Context, op Op) error {
	c.starts <- struct{}{}
	defer func() { <-c.starts }()
	i, ok := c.instance(op.Instance)
	if !ok {
		return nil
	}
	seq := c.sequence(&i)
	c.publish(&i, Event{Progress: "Starting"})
	l := &launch{c: c, i: &i}
	err := l.run(ctx)
	if err != nil {
		l.undo(ctx)
		if ctx.Err() != nil {
			return ctx.Err() // the next controller tries again
		}
		if errors.Is(err, shim.ErrGone) || errors.Is(err, shim.ErrNoShim) {
			c.awaitSuccessor(ctx)
			return err // the next controller tries again
		}
		if i.State == StateRestarting && (l.lostPeer(ctx) || l.lostVolume()) {
			c.update(i.ID, func(i *Instance) { i.PutOff(c.Now()) })
			return err
		}
		c.startFailed(&i, seq, err)
		return err
	}
	c.update(i.ID, func(r *Instance) {
		r.Ports, r.Endpoints, r.Warnings, r.Labels = i.Ports, i.Endpoints, i.Warnings, i.Labels
		r.Volumes, r.Anonymous, r.HostUserNS, r.Privileged, r.IDBase = i.Volumes, i.Anonymous, i.HostUserNS, i.Privileged, i.IDBase
		r.Log, r.Runtime, r.VolumesMade, r.Joined = i.Log, i.Runtime, i.VolumesMade, l.joined
		r.Obeyed(seq, l.begun)
		delete(c.opening, i.ID)
	})
	c.publish(&i, Event{Action: "start", Progress: "Started", Warnings: i.Warnings})
	return c.postStart(ctx, &i)
}

// sequence is the command that a start obeys.
func (c *Controller) sequence(i *Instance) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.want.Sequence
}

func (c *Controller) startFailed(i *Instance, seq uint64, err error) {
	code := 0
	var step *runtime.StepError
	if errors.As(err, &step) {
		code = step.ExitCode()
	}
	c.update(i.ID, func(i *Instance) {
		i.StartFailed(seq, err.Error(), code)
		i.Ticked = c.Now()
	})
	c.publish(i, Event{Action: "die", Progress: "Error", Error: err.Error()})
	c.Log.Warn("cannot start container", "container", i.Name, "error", err)
}

// launch is one start under way.
type launch struct {
	c *Controller
	i *Instance // a copy; what the start adds to it is recorded at its end

	stack *types.Project
	files []spec.File
	binds []spec.File
	svc   types.ServiceConfig
	img   image.Image
	made  image.Image // recorded at the instance's creation
	peers map[string]Peer
	// sources are the images mounted as volumes, by reference.
	sources map[string]image.Image
	shared  *shared
	out     Translated
	stdio   Stdio
	kept    io.Closer     // keeps the images from being removed; nil before keep
	leases  []netns.Lease // of the last attach
	joined  time.Time     // when peers were looked up; zero without any
	begun   time.Time
}

// run goes from record to running program.
func (l *launch) run(ctx context.Context) error {
	defer func() {
		if l.kept != nil {
			l.kept.Close()
		}
	}()
	for _, step := range []func(context.Context) error{
		l.gather, l.clear, l.translate, l.keep, l.volumes, l.bound, l.reserve, l.open, l.create, l.publish, l.begin,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// gather copies what the start needs from the controller.
func (l *launch) gather(ctx context.Context) error {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := c.blueprint(l.i)
	if err != nil {
		return err
	}
	l.stack, l.files, l.binds, l.svc, l.made, l.shared = b.project, b.files, b.binds, b.service, b.image, c.shared
	l.peers = map[string]Peer{}
	refs := joined(l.svc)
	if len(refs) > 0 {
		l.joined = c.Now()
	}
	for _, ref := range refs {
		peer, err := c.peer(ctx, ref)
		if err != nil {
			return err
		}
		l.peers[ref] = peer
	}
	return nil
}

// clear removes what an earlier run or an interrupted start left, and resolves the
// image: a restart after a controller's death may come before any command.
func (l *launch) clear(ctx context.Context) error {
	l.c.mu.Lock()
	l.c.plugged[l.i.ID] = true
	l.c.mu.Unlock()
	l.c.alter(l.i.ID, func(i *Instance) { i.untouched = false })
	dir := l.c.Store.InstanceDir(l.i.ID)
	if !l.i.untouched {
		if err := l.sweep(ctx, dir); err != nil {
			return err
		}
	}
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return err
	}
	if err = l.places(); err != nil {
		return err
	}
	if l.i.Hook != nil {
		l.img, err = l.c.hookImage(ctx, l.i)
		return err
	}
	l.img, err = l.c.imageMade(ctx, l.i, l.made)
	return err
}

// sweep removes what an earlier start may have left.
func (l *launch) sweep(ctx context.Context, dir string) error {
	if err := l.c.Runtime.Delete(ctx, l.i.ID, true); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		return err
	}
	// Before the directory: the shim may still write an interrupted start's exit.
	if err := l.c.letGo(ctx, l.i.ID); err != nil {
		return err
	}
	return os.RemoveAll(dir) // an old exit record would end the new run
}

func (l *launch) translate(ctx context.Context) error {
	c := l.c
	who, err := l.shared.account(l.img, userOf(l.svc, l.img), l.svc.GroupAdd)
	if err != nil {
		return err
	}
	in := TranslateInput{
		Project: l.stack, Service: l.svc, Image: l.img, User: who.user, Home: who.home, Groups: who.groups,
		Instance: l.i.identity(),
		Scale:    max(1, c.wishOf(l.i.Service).Scale), ConfigHash: l.i.Hash, Version: c.Version,
		Layer: c.Store.LayerDir(l.i.ID), Peers: l.peers, Volumes: map[string]string{},
		Machine: c.Machine, Seccomp: l.shared.seccomp(c.Seccomp), ParseSeccomp: c.ParseSeccomp,
	}
	in.IDBaseBefore = l.i.IDBase
	in.UserNSBefore, in.Strict = l.i.userNSBefore(), c.wishOf(l.i.Service).Strict
	if !HostUserNS(l.stack, l.svc) {
		ids, err := c.Store.AllocateIDs()
		if err != nil {
			return err
		}
		in.IDs = &ids
	}
	if err := l.surroundings(ctx, &in); err != nil {
		return err
	}
	if l.out, err = Translate(in); err != nil {
		return err
	}
	l.i.Endpoints, l.i.Labels, l.i.Warnings = l.out.Endpoints, l.out.Labels, l.out.Warnings
	l.i.HostUserNS, l.i.Privileged, l.i.Log = !l.out.UserNS, l.svc.Privileged, l.out.Log
	l.i.IDBase = idBase(l.out.Spec)
	l.i.Runtime = l.out.Runtime
	l.detail()
	return nil
}

// keep holds on to the images until their layers are mounted. Translate has recorded
// them, so whoever removes images after this start knows that they are in use; whoever
// did before it leaves an error, not a root that goes away.
func (l *launch) keep(ctx context.Context) (err error) {
	l.kept, err = l.c.Images.Keep(ctx, append(slices.Collect(maps.Values(l.sources)), l.img)...)
	return err
}

// bound limits what the writable layer may hold. A machine's is a disk of that size.
func (l *launch) bound(context.Context) error {
	if size := l.out.Root.Size; size > 0 && !isMachine(l.svc) {
		return quota.Limit(l.c.Store.LayerDir(l.i.ID), size)
	}
	return nil
}

// userOf is who the service runs as, in the image's words.
func userOf(svc types.ServiceConfig, img image.Image) string {
	if svc.User != "" {
		return svc.User
	}
	return img.Config.User
}

// volumes makes the directories that the mounts need.
func (l *launch) volumes(ctx context.Context) error {
	had := l.i.Anonymous
	var uses []VolumeUse
	uses, l.i.Volumes, l.i.Anonymous = volumeUses(l.out.Mounts)
	l.tellLost(had, uses)
	if len(l.i.Volumes) > 0 { // recorded first: who dies now still lets go of them
		l.c.update(l.i.ID, func(i *Instance) { i.Volumes, i.Anonymous = l.i.Volumes, l.i.Anonymous })
	}
	if err := l.c.prepareVolumes(ctx, l.i.ID, uses, l.img); err != nil {
		return err
	}
	l.i.VolumesMade = map[string]time.Time{}
	for _, u := range uses {
		if v, err := l.c.Store.Layout.LoadVolume(u.Name); err == nil && !u.Anonymous {
			l.i.VolumesMade[u.Name] = v.Created
		}
	}
	return nil
}

// reserve binds the published ports on the host, choosing those left open. What it
// is about to bind is recorded first: a look at the machine must not take our own
// reservations for somebody else's.
func (l *launch) reserve(ctx context.Context) error {
	if len(l.out.Ports) > 0 {
		l.c.update(l.i.ID, func(i *Instance) { i.Ports = l.out.Ports })
	}
	l.i.Ports = nil
	for _, p := range l.out.Ports {
		got, err := l.c.reserve(ctx, p)
		if err != nil {
			return err
		}
		l.i.Ports = append(l.i.Ports, got)
	}
	return nil
}

// open makes the container's standard streams and gives their other ends to the shim.
func (l *launch) open(ctx context.Context) error {
	if l.svc.Tty {
		return nil // the terminal comes with the container
	}
	var err error
	l.stdio, err = l.c.Keeper.Stdio(ctx, StdioRequest{
		ID: l.i.ID, Dir: l.c.Store.InstanceDir(l.i.ID), User: hostUser(l.out.Spec), Stdin: l.svc.StdinOpen, StdinOnce: l.i.OneOff,
		LogPath: l.c.Store.LogPath(l.i.ID), Log: l.out.Log,
	})
	return err
}

// hostUser is the container's user as the host knows it.
func hostUser(s *specs.Spec) specs.User {
	u := s.Process.User
	return specs.User{UID: runtime.HostID(u.UID, s.Linux.UIDMappings), GID: runtime.HostID(u.GID, s.Linux.GIDMappings)}
}

// idBase is the first id of the host that a container's user namespace maps.
func idBase(s *specs.Spec) uint32 {
	if len(s.Linux.UIDMappings) == 0 {
		return 0
	}
	return s.Linux.UIDMappings[0].HostID
}

// create makes the container; its network is plugged in while its root is built.
func (l *launch) create(ctx context.Context) error {
	defer l.stdio.Close()
	b := l.out.Bundle(l.i.ID)
	b.Stdin, b.Stdout, b.Stderr = l.stdio.Stdin, l.stdio.Stdout, l.stdio.Stderr
	b.Attach = l.attach
	b.Interfaces = func() []runtime.Interface { return interfaces(l.leases) }
	if n := slices.IndexFunc(b.Files, func(f runtime.File) bool { return f.Target == hostsFile }); n >= 0 {
		b.Files[n].Append = func() []byte { return ownHosts(l.leases, l.out.Hostname, l.svc.DomainName) }
	}
	b.Adopt = func(ctx context.Context, pid int) error {
		return l.c.Keeper.Adopt(ctx, l.i.ID, pid, l.c.Store.ExitPath(l.i.ID))
	}
	made, err := l.c.Runtime.Create(ctx, b)
	if err != nil {
		return err
	}
	l.i.Warnings = append(l.i.Warnings, made.Warnings...)
	if made.PidFD != nil {
		defer made.PidFD.Close()
	}
	if made.Console != nil {
		defer made.Console.Close()
	}
	if err := l.checkPeers(); err != nil {
		return err
	}
	if made.Console != nil {
		err = l.c.Keeper.Terminal(ctx, TerminalRequest{
			ID: l.i.ID, Master: made.Console, LogPath: l.c.Store.LogPath(l.i.ID), Log: l.out.Log,
		})
		if err != nil {
			return err
		}
	}
	return l.c.Store.SaveProcess(l.i.ID, l.out.Spec.Process)
}

// attach plugs the namespaces of pid into the container's networks.
func (l *launch) attach(ctx context.Context, pid int) error {
	switch {
	case !ownNamespace(l.svc.NetworkMode):
		return nil
	case len(l.i.Endpoints) == 0:
		return l.c.Network.Loopback(ctx, pid)
	}
	// From here on the container is part of what Apply is told: it would detach
	// what an earlier run had and nobody wants any more. It is recorded when the
	// program runs: where a controller died before, the start begins anew.
	l.c.alter(l.i.ID, func(i *Instance) {
		i.Ports, i.Endpoints = l.i.Ports, l.i.Endpoints
		l.c.opening[i.ID] = true
	})
	err := l.c.introduce(ctx, l.svc)
	if err != nil {
		return err
	}
	if l.leases, err = l.c.Network.Attach(ctx, l.i.Endpoints, pid); err != nil {
		return err
	}
	return l.c.dns.serve(ctx, l.i.ID, pid, l.c.resolverClient(l.svc, l.i.Endpoints))
}

// publish opens the container's ports.
func (l *launch) publish(ctx context.Context) error {
	if len(l.i.Ports) == 0 {
		return nil
	}
	if l.c.leadsTo(l.i) {
		if err := l.c.balance.write.Do(ctx); err != nil {
			return err
		}
	}
	return l.c.serveProxies(l.i)
}

func (l *launch) begin(ctx context.Context) error {
	if l.i.Run != nil && l.i.Run.Attach {
		if err := l.c.awaitRelease(ctx, l.i); err != nil {
			return err
		}
	}
	l.c.catchUp(ctx, l.i)
	l.begun = l.c.Now() // before: no line of the run's log may be older
	if err := l.c.Runtime.Start(ctx, l.i.ID); err != nil || !isMachine(l.svc) {
		return err
	}
	l.c.catchUp(ctx, l.i) // its files are there only now
	return nil
}

// undo removes what a failed start made.
func (l *launch) undo(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	if err := l.c.Runtime.Delete(ctx, l.i.ID, true); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		l.c.Log.Warn("cannot undo a failed start", "container", l.i.Name, "error", err)
	}
	l.c.withdraw(ctx, l.i)
}

func (c *Controller) wishOf(service string) ServiceWish {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.want.Services[service]
}
