package netns

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Subscribe calls changed, from a goroutine, whenever somebody else may have taken
// away or altered something of the project's: on the host, or a table inside a
// container. It is a reason to Observe and carries no truth; changes that this Host
// makes are passed over. It ends with Close.
//
// The kernel tells by multicast, so nothing is polled. The socket for nftables hears
// every network namespace that the host's knows, as it does the other end of each
// veth pair's (NETLINK_LISTEN_ALL_NSID, netlink(7)).
func (h *Host) Subscribe(changed func()) error {
	return h.run(h.space, func() error {
		route, err := openNews(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_TC,
			unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
			unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF)
		if err != nil {
			return err
		}
		tables, err := openNews(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
		if err != nil {
			route.Close()
			return err
		}
		h.mu.Lock()
		h.news = []*os.File{route, tables}
		h.mu.Unlock()
		h.doubtInside.Store(true) // what happened until now was not heard
		go readNews(route, h.concernsLinks, changed)
		go readNews(tables, h.concernsTables, changed)
		return nil
	})
}

// message is one netlink message that the kernel told everybody.
type message struct {
	kind uint16
	port uint32 // of the socket whose request caused it, 0 where the kernel did
	nsid int    // of the namespace it is about; here is the host's
	body []byte
	// lost stands for messages that there was no room for.
	lost bool
}

// here is the nsid of what happens in the namespace of the socket itself.
const here = -1

// openNews opens a socket that hears multicast groups of the calling thread's
// namespace, and of those that it knows.
func openNews(protocol int, groups ...int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("cannot open a netlink socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "netlink news")
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for _, g := range groups {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g))
	}
	if protocol == unix.NETLINK_NETFILTER {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_LISTEN_ALL_NSID, 1))
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot listen to changes of the network: %w", err)
	}
	return f, nil
}

// readNews calls changed once for each datagram with a message that concerns us.
func readNews(f *os.File, concerns func(message) bool, changed func()) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	buf, control := make([]byte, 16<<10), make([]byte, unix.CmsgSpace(4))
	for {
		var n, c int
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, c, _, _, failed = unix.Recvmsg(int(fd), buf, control, 0)
			return failed != unix.EAGAIN && failed != unix.EINTR
		})
		switch {
		case err != nil:
			return // closed
		case failed == unix.ENOBUFS:
			if concerns(message{lost: true, nsid: here}) {
				changed()
			}
			continue
		case failed != nil:
			return
		}
		nsid := nsidOf(control[:c])
		heard := false
		for m := range messages(buf[:n], nsid) {
			heard = concerns(m) || heard // each of them is to be looked at
		}
		if heard {
			changed()
		}
	}
}

// nsidOf reads which namespace a datagram is about.
func nsidOf(control []byte) int {
	all, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return here
	}
	for _, m := range all {
		if m.Header.Level == unix.SOL_NETLINK && m.Header.Type == unix.NETLINK_LISTEN_ALL_NSID && len(m.Data) >= 4 {
			return int(*(*int32)(unsafe.Pointer(&m.Data[0])))
		}
	}
	return here
}

// messages takes a datagram apart; it stops at what is cut or malformed.
func messages(b []byte, nsid int) iter.Seq[message] {
	return func(yield func(message) bool) {
		for len(b) >= unix.SizeofNlMsghdr {
			head := (*unix.NlMsghdr)(unsafe.Pointer(&b[0]))
			if head.Len < unix.SizeofNlMsghdr || int(head.Len) > len(b) {
				return
			}
			m := message{kind: head.Type, port: head.Pid, nsid: nsid, body: b[unix.SizeofNlMsghdr:head.Len]}
			if !yield(m) {
				return
			}
			b = b[min(len(b), int(head.Len+3)&^3):]
		}
	}
}

// portOf is the address of a netlink socket, by which the kernel tells who asked for
// a change.
func portOf(fd int) uint32 {
	at, err := unix.Getsockname(fd)
	if sa, ok := at.(*unix.SockaddrNetlink); err == nil && ok {
		return sa.Pid
	}
	return 0
}
