package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Host acts on one machine's network for one project. Its methods are safe for
// concurrent use; several processes may have a Host for the same project.
type Host struct {
	o     Options
	log   *slog.Logger
	store *store
	// home is the process's own namespace, space the one acted in; mostly the same.
	home, space *space
	ipv6        bool // the kernel speaks IPv6

	applying sync.Mutex // one Apply or Remove at a time
	changing keyLock    // one change of a container's endpoints at a time
	removals removals

	kernel     sync.Mutex // guards route; the kernel takes one change at a time anyway
	route      *rtnl
	link       *netlink.Handle // for reading
	nfnl, dump *nl.SocketHandle

	firewall sync.Mutex // guards table
	table    *table

	insiders    ports
	doubtInside atomic.Bool // a table inside a container may not be what was written

	mu      sync.Mutex         // guards what follows
	applied *applied           // nil before the first Apply of this Host
	live    map[string]process // containers' first processes
	bridges map[string]int     // network ID to link index
	hairpin bool               // see portMode

	residents map[string]*resident // containers with a table inside
	snapshots map[string]*snapshot // by version
	lastShift *shift
	changed   func()     // see Watch
	news      []*os.File // see Subscribe
	watched   map[string]*net.UnixConn
}

// process is a container's first process as it was seen: a pid that was given to
// another process since has, most likely, another network namespace.
type process struct {
	pid   int
	netns uint64
}

// Open prepares to act; it changes nothing.
func Open(o Options) (*Host, error) {
	if o.State == "" {
		return nil, errors.New("cannot open host network: no state directory")
	}
	h := &Host{o: o, log: o.Log, store: newStore(o.State), live: map[string]process{}, bridges: map[string]int{}}
	h.store.self = socketName(o.Project)
	h.residents, h.snapshots = map[string]*resident{}, map[string]*snapshot{}
	h.watched = map[string]*net.UnixConn{}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if err := h.open(); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (h *Host) open() (err error) {
	if h.home, err = openSpace("/proc/thread-self/ns/net"); err != nil {
		return err
	}
	h.home.here, h.space = true, h.home
	if h.o.NetNS != "" {
		if h.space, err = openSpace(h.o.NetNS); err != nil {
			return err
		}
		h.space.here = h.space.id == h.home.id
	}
	if err := h.run(h.space, h.openSockets); err != nil {
		return err
	}
	h.readHairpin()
	return nil
}

func (h *Host) openSockets() (err error) {
	if _, err := os.Stat("/proc/sys/net/ipv6/conf"); err == nil {
		h.ipv6 = true
	}
	if h.route, err = openRtnl(); err != nil {
		return err
	}
	h.link, err = netlink.NewHandleAt(vnetns.None(), unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("cannot open a netlink socket: %w", err)
	}
	if h.nfnl, err = openDumps(unix.NETLINK_NETFILTER); err != nil {
		return err
	}
	if h.dump, err = openDumps(unix.NETLINK_ROUTE); err != nil {
		return err
	}
	ns := 0
	if !h.space.here {
		ns = int(h.space.ns)
	}
	h.table, err = openTable(ns, tableName(h.o.Project))
	return err
}

// openDumps opens a socket for nl's own requests.
func openDumps(protocol int) (*nl.SocketHandle, error) {
	s, err := nl.GetNetlinkSocketAt(vnetns.None(), vnetns.None(), protocol)
	if err != nil {
		return nil, fmt.Errorf("cannot open a netlink socket: %w", err)
	}
	return &nl.SocketHandle{Socket: s}, nil
}

// Close releases the sockets. Nothing on the machine changes.
func (h *Host) Close() error {
	h.mu.Lock()
	for _, c := range h.watched {
		c.Close()
	}
	for _, r := range h.residents {
		r.Close()
	}
	for _, f := range h.news {
		f.Close()
	}
	h.mu.Unlock()
	if h.table != nil {
		h.table.Close()
	}
	if h.link != nil {
		h.link.Close()
	}
	for _, s := range []*nl.SocketHandle{h.nfnl, h.dump} {
		if s != nil {
			s.Close()
		}
	}
	if h.route != nil {
		h.route.Close()
	}
	if h.space != nil && h.space != h.home {
		h.space.Close()
	}
	if h.home != nil {
		h.home.Close()
	}
	return nil
}

// do sends route requests from the host's side.
func (h *Host) do(reqs ...request) error {
	if len(reqs) == 0 {
		return nil
	}
	h.kernel.Lock()
	defer h.kernel.Unlock()
	_, err := h.route.do(reqs...)
	return err
}

// dumped repeats a dump that the kernel says was disturbed by a change, as every
// Attach is one; at last with our own changes held up.
func dumped[T any](h *Host, dump func() (T, error)) (out T, err error) {
	for range 10 {
		if out, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return out, err
		}
	}
	h.kernel.Lock()
	defer h.kernel.Unlock()
	for range 90 {
		if out, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return out, err
		}
	}
	return out, err
}

// generation is the kernel's count of nftables transactions.
func (h *Host) generation() (uint32, error) {
	const get = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN
	req := nl.NewNetlinkRequest(get, 0)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_NETFILTER: h.nfnl}
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	msgs, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if err != nil {
		return 0, fmt.Errorf("cannot read the nftables generation: %w", err)
	}
	for _, m := range msgs {
		attrs, err := nl.ParseRouteAttr(m[nl.SizeofNfgenmsg:])
		if err != nil {
			return 0, fmt.Errorf("cannot read the nftables generation: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type&nl.NLA_TYPE_MASK == unix.NFTA_GEN_ID && len(a.Value) == 4 {
				return binary.BigEndian.Uint32(a.Value), nil
			}
		}
	}
	return 0, errors.New("cannot read the nftables generation: empty answer")
}

// keyLock is a mutex per key.
type keyLock struct {
	mu   sync.Mutex
	held map[string]*keyHolder
}

type keyHolder struct {
	sync.Mutex
	users int
}

func (k *keyLock) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.held == nil {
		k.held = make(map[string]*keyHolder)
	}
	l := k.held[key]
	if l == nil {
		l = &keyHolder{}
		k.held[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		if l.users--; l.users == 0 {
			delete(k.held, key)
		}
		k.mu.Unlock()
	}
}
