package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// rtnetlink is a route socket (man 7 rtnetlink); a request and its acknowledgement
// are one send and one receive.
type rtnetlink struct {
	mu  sync.Mutex
	fd  int
	seq uint32
}

func openRtnetlink() (*rtnetlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("cannot open a route socket: %w", err)
	}
	return &rtnetlink{fd: fd}, nil
}

// openRtnetlinkIn opens the socket in the network namespace of a process. The
// calling goroutine is locked to its thread.
func openRtnetlinkIn(pidfd int) (*rtnetlink, error) {
	own, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(own)
	if err := unix.Setns(pidfd, unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("cannot enter a network namespace: %w", err)
	}
	n, err := openRtnetlink()
	return n, errors.Join(err, unix.Setns(own, unix.CLONE_NEWNET))
}

func (n *rtnetlink) Close() { unix.Close(n.fd) }

// do sends requests in one packet and waits for all acknowledgements.
func (n *rtnetlink) do(requests ...*request) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var packet []byte
	for _, r := range requests {
		n.seq++
		packet = append(packet, r.bytes(n.seq)...)
	}
	if err := unix.Sendto(n.fd, packet, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	var first error
	for acks := 0; acks < len(requests); {
		buf := make([]byte, 8192)
		size, _, err := unix.Recvfrom(n.fd, buf, 0)
		if err != nil {
			return err
		}
		got, err := acknowledged(buf[:size])
		acks += got
		if first == nil {
			first = err
		}
	}
	return first
}

// acknowledged counts the NLMSG_ERROR messages of a packet and returns the first
// that is an error.
func acknowledged(b []byte) (n int, first error) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return n, errors.New("cannot read a netlink answer")
		}
		if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
			n++
			if code := int32(binary.NativeEndian.Uint32(b[16:])); code != 0 && first == nil {
				first = unix.Errno(-code)
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return n, first
}

// request is one netlink message under construction.
type request struct {
	kind, flags uint16
	body        []byte
}

func newRequest(kind uint16, flags uint16, header ...any) *request {
	r := &request{kind: kind, flags: flags | unix.NLM_F_REQUEST | unix.NLM_F_ACK}
	for _, v := range header {
		r.body, _ = binary.Append(r.body, binary.NativeEndian, v) // fixed-size values
	}
	return r
}

func (r *request) bytes(seq uint32) []byte {
	var b []byte
	size := unix.SizeofNlMsghdr + len(r.body)
	b = binary.NativeEndian.AppendUint32(b, uint32(size))
	b = binary.NativeEndian.AppendUint16(b, r.kind)
	b = binary.NativeEndian.AppendUint16(b, r.flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, r.body...)
}

// attr appends an attribute, padded to four bytes.
func (r *request) attr(kind uint16, value []byte) *request {
	r.body = binary.NativeEndian.AppendUint16(r.body, uint16(4+len(value)))
	r.body = binary.NativeEndian.AppendUint16(r.body, kind)
	r.body = append(r.body, value...)
	r.body = append(r.body, make([]byte, -len(value)&3)...)
	return r
}

func (r *request) text(kind uint16, value string) *request {
	return r.attr(kind, append([]byte(value), 0))
}

func (r *request) number(kind uint16, value uint32) *request {
	return r.attr(kind, binary.NativeEndian.AppendUint32(nil, value))
}

// nest appends an attribute whose value is what fill appends.
func (r *request) nest(kind uint16, fill func(*request)) *request {
	inner := &request{}
	fill(inner)
	return r.attr(kind, inner.body)
}
