package netns

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Attach plugs a container in: eps are all its interfaces, pid is its first
// process, which has a network namespace of its own and need not run anything
// yet. It is safe to repeat, keeps the leases of an earlier call, and leaves
// nothing behind when it fails. Many calls at once are meant.
func (h *Host) Attach(ctx context.Context, eps []Endpoint, pid int) ([]Lease, error) {
	if len(eps) == 0 {
		return nil, h.Loopback(ctx, pid)
	}
	container := eps[0].Container
	for _, e := range eps {
		if err := e.check(); err != nil || e.Container != container {
			return nil, fmt.Errorf("cannot attach container %s: %w", short(container), errorsOf(err, sameContainer(e, container)))
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := h.openContainer(pid)
	if err != nil {
		return nil, fmt.Errorf("cannot attach container %s: %w", short(container), err)
	}
	defer s.Close()
	defer h.changing.lock(container)()
	leases, err := h.attach(s, eps)
	if err != nil {
		return nil, fmt.Errorf("cannot attach container %s: %w", short(container), err)
	}
	h.settleIn(container, process{pid, s.id}, leases)
	if err := h.publish(container); err != nil {
		return nil, errors.Join(err, h.detach(container))
	}
	return leases, nil
}

func sameContainer(e Endpoint, container string) error {
	if e.Container != container {
		return fmt.Errorf("an endpoint is of container %s", short(e.Container))
	}
	return nil
}

// attach leases, then makes the links; the container's lock is held.
func (h *Host) attach(s *space, eps []Endpoint) (leases []Lease, err error) {
	var plugs []*plug
	var fresh []Lease
	defer func() {
		if err != nil {
			err = errorsOf(err, h.unplug(fresh))
		}
	}()
	for _, e := range eps {
		c := &leaseCall{endpoint: e, project: h.o.Project, netns: s.id}
		entry := h.store.entry(e.Network)
		entry.lease(c)
		if c.err != nil {
			return nil, c.err
		}
		if c.fresh {
			fresh = append(fresh, c.lease)
		}
		leases = append(leases, c.lease)
		p, err := h.plug(e, c.lease, entry)
		if err != nil {
			return nil, err
		}
		if e.Tap {
			p.tap = tapName(len(plugs))
			leases[len(leases)-1].Tap = p.machineSide()
		}
		plugs = append(plugs, p)
	}
	if err := h.connect(s, plugs); err != nil {
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENODEV) {
			return nil, explain(err)
		}
		if err := h.reconnect(s, plugs); err != nil {
			return nil, explain(err)
		}
	}
	if err := h.shapePlugs(plugs); err != nil {
		return nil, err
	}
	return leases, h.setSysctls(s, eps)
}

// shapePlugs limits the bandwidth of new links where their network or they have a
// limit.
func (h *Host) shapePlugs(plugs []*plug) error {
	for _, p := range plugs {
		if p.network.Bandwidth == (Bandwidth{}) && p.lease.Bandwidth == (Bandwidth{}) {
			continue
		}
		if err := h.shape(p.network.ID, func(link string) bool { return link == p.lease.Link }); err != nil {
			return err
		}
	}
	return nil
}

// plug collects what is needed to make an endpoint's link.
func (h *Host) plug(e Endpoint, l Lease, entry *entry) (*plug, error) {
	n, err := entry.network()
	if err != nil {
		return nil, err
	}
	mac, err := net.ParseMAC(l.MAC)
	if err != nil {
		return nil, fmt.Errorf("bad MAC address in lease: %w", err)
	}
	p := &plug{
		endpoint: e, lease: l, network: n, mac: mac, mtu: n.MTU,
		alias: linkAlias(h.o.Project, e.Container, e.IfName),
	}
	if e.MTU > 0 {
		p.mtu = e.MTU
	}
	h.mu.Lock()
	p.bridge, p.mode = h.bridges[n.ID], portMode{n.Isolated, h.hairpin}
	h.mu.Unlock()
	if p.bridge == 0 {
		return p, h.findBridge(p)
	}
	return p, nil
}

// findBridge looks for the bridge, and makes it if it is missing.
func (h *Host) findBridge(p *plug) error {
	v, err := h.look()
	if err != nil {
		return err
	}
	p.bridge, err = h.ensureBridge(p.network, h.o.Project, v)
	return err
}

// reconnect tries again after a bridge turned out not to be there any more.
func (h *Host) reconnect(s *space, plugs []*plug) error {
	for _, p := range plugs {
		if err := h.findBridge(p); err != nil {
			return err
		}
	}
	return h.connect(s, plugs)
}

// explain names the one limit of a bridge that the kernel's words don't.
func explain(err error) error {
	if errors.Is(err, unix.EXFULL) {
		return fmt.Errorf("%w: Linux gives a bridge at most %d ports; use more networks", err, maxPorts)
	}
	return err
}

func (h *Host) setSysctls(s *space, eps []Endpoint) error {
	todo := make(map[string]string)
	for _, e := range eps {
		for key, value := range e.Sysctls {
			path, err := endpointSysctl(key, e.IfName)
			if err != nil {
				return err
			}
			todo[path] = value
		}
	}
	if len(todo) == 0 {
		return nil
	}
	return h.run(s, func() error {
		for path, value := range todo {
			if err := writeSysctl(path, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// publish puts a container's ports in force.
func (h *Host) publish(container string) error {
	h.mu.Lock()
	a := h.applied
	h.mu.Unlock()
	if a == nil {
		return nil
	}
	for _, p := range a.config.Ports {
		if p.Container == container {
			return h.syncFirewall()
		}
	}
	return nil
}

// Loopback brings up the loopback link of a container that has no other.
func (h *Host) Loopback(ctx context.Context, pid int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := h.openContainer(pid)
	if err != nil {
		return fmt.Errorf("cannot set up loopback: %w", err)
	}
	defer s.Close()
	inside, err := h.openInside(s)
	if err != nil {
		return fmt.Errorf("cannot set up loopback: %w", err)
	}
	defer inside.Close()
	_, err = inside.do(loopbackUp())
	return err
}
