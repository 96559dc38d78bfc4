package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
	"stack/netns/dns"
)

// resolver is the embedded name server of the project's containers. Its sockets
// lie inside their network namespaces and are kept by the shim, so that queries
// wait rather than fail while there is no controller.
type resolver struct {
	server  *dns.Server
	network Network
	keeper  Keeper
	log     *slog.Logger

	mu      sync.Mutex
	clients map[string]resolverClient // by container ID
}

// resolverClient is what a container may ask.
type resolverClient struct {
	networks map[string]string // network ID → its names' suffix
	upstream dns.Upstreams
	links    map[string]string // link alias → service or container name
}

func newResolver(n Network, k Keeper, log *slog.Logger) *resolver {
	r := &resolver{network: n, keeper: k, log: log, clients: map[string]resolverClient{}}
	r.server = dns.NewServer(dns.Options{Source: r, Log: log})
	return r
}

func socketName(id, proto string) string { return "dns/" + proto + "/" + id }

// serve makes sockets in the namespace of pid and answers on them.
func (r *resolver) serve(ctx context.Context, id string, pid int, c resolverClient) error {
	udp, tcp, err := r.network.ListenDNS(id, pid)
	if err != nil {
		return err
	}
	defer udp.Close()
	defer tcp.Close()
	for proto, f := range map[string]*os.File{"udp": udp, "tcp": tcp} {
		if err := r.keeper.Hold(ctx, socketName(id, proto), f); err != nil {
			return err
		}
	}
	return r.listen(id, udp, tcp, c)
}

// resume answers again on sockets that the shim kept, if it did.
func (r *resolver) resume(id string, pid int, c resolverClient) (bool, error) {
	udp, tcp := r.keeper.Held(socketName(id, "udp")), r.keeper.Held(socketName(id, "tcp"))
	if udp == nil || tcp == nil {
		for _, f := range []*os.File{udp, tcp} {
			if f != nil {
				f.Close()
			}
		}
		return false, nil
	}
	defer udp.Close()
	defer tcp.Close()
	return true, errors.Join(r.listen(id, udp, tcp, c), r.network.ResumeDNS(id, pid, udp, tcp))
}

func (r *resolver) listen(id string, udp, tcp *os.File, c resolverClient) error {
	packets, err := net.FilePacketConn(udp)
	if err != nil {
		return fmt.Errorf("cannot serve names: %w", err)
	}
	streams, err := net.FileListener(tcp)
	if err != nil {
		packets.Close()
		return fmt.Errorf("cannot serve names: %w", err)
	}
	r.mu.Lock()
	r.clients[id] = c
	r.mu.Unlock()
	return r.server.Serve(id, packets, streams)
}

// drop forgets a container; the shim's copies of its sockets go with letGo.
func (r *resolver) drop(id string) {
	r.mu.Lock()
	delete(r.clients, id)
	r.mu.Unlock()
	r.server.Drop(id)
}

func (r *resolver) client(id string) (c resolverClient, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, known = r.clients[id]
	return c, known
}

// Lookup implements dns.Source: the addresses of all that have the name on a
// network of the asking container, whichever stack they are of. What cannot be read is
// an error, or a client would take the name for unknown.
func (r *resolver) Lookup(container, name string) ([]netip.Addr, bool, error) {
	c, known := r.client(container)
	if !known {
		return nil, false, errors.New("it is about to go")
	}
	if target, ok := c.links[name]; ok {
		name = target
	}
	var addrs []netip.Addr
	for id, suffix := range c.networks {
		n, err := r.namesOn(id)
		if err != nil {
			return nil, false, err
		}
		addrs = appendValid(addrs, n.lookup(container, name)...)
		if short, ok := strings.CutSuffix(name, "."+suffix); ok {
			addrs = appendValid(addrs, n.lookup(container, short)...)
		}
	}
	return addrs, len(addrs) > 0, nil
}

func appendValid(to []netip.Addr, addrs ...netip.Addr) []netip.Addr {
	for _, a := range addrs {
		if a.IsValid() && !slices.Contains(to, a) {
			to = append(to, a)
		}
	}
	return to
}

// Reverse implements dns.Source.
func (r *resolver) Reverse(container string, addr netip.Addr) (string, bool) {
	c, _ := r.client(container)
	for id, suffix := range c.networks {
		n, err := r.namesOn(id)
		if err != nil {
			r.log.Warn("cannot read names", "error", err)
			continue
		}
		for _, l := range n.leases {
			if l.IPv4 == addr || l.IPv6 == addr {
				return l.Hostname + "." + suffix, true
			}
		}
		for _, s := range n.services {
			if s.IPv4 == addr || s.IPv6 == addr {
				return s.Name + "." + suffix, true
			}
		}
	}
	return "", false
}

// Upstreams implements dns.Source.
func (r *resolver) Upstreams(container string) dns.Upstreams {
	c, _ := r.client(container)
	return c.upstream
}

// namesOn reads the names on a network; one that is removed has none.
func (r *resolver) namesOn(network string) (n namesOn, err error) {
	if n.leases, err = r.network.Leases(network); err == nil {
		n.services, err = r.network.Services(network)
	}
	if errors.Is(err, netns.ErrNotFound) {
		return namesOn{}, nil
	}
	return n, err
}

// resolverClient says what a container of svc may ask on its interfaces.
func (c *Controller) resolverClient(svc types.ServiceConfig, endpoints []netns.Endpoint) resolverClient {
	out := resolverClient{networks: map[string]string{}, links: map[string]string{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	internal := len(endpoints) > 0
	for _, e := range endpoints {
		for key, n := range c.made {
			if n.ID == e.Network {
				out.networks[n.ID] = strings.ToLower(n.Name)
				internal = internal && c.want.Stack.Networks[key].Internal
			}
		}
	}
	out.upstream.None = internal
	for _, server := range svc.DNS {
		if a, err := netip.ParseAddr(server); err == nil {
			out.upstream.Servers = append(out.upstream.Servers, netip.AddrPortFrom(a, 53))
		}
	}
	for _, link := range append(slices.Clone(svc.Links), svc.ExternalLinks...) {
		if target, alias, ok := strings.Cut(link, ":"); ok {
			out.links[strings.ToLower(alias)] = strings.ToLower(target)
		}
	}
	return out
}

// hostGateway is the host's own address as a container on its networks sees it.
func (c *Controller) hostGateway(svc types.ServiceConfig) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range attachments(svc) {
		n, ok, err := c.Network.Lookup(c.made[key].Name)
		if err != nil || !ok {
			continue
		}
		for _, p := range n.Pools {
			if gw := p.GatewayAddr(); gw.IsValid() {
				return gw.String()
			}
		}
	}
	return ""
}
