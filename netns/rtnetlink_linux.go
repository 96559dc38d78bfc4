package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// request is one rtnetlink message of a batch.
type request struct {
	*nl.NetlinkRequest
	// what completes "cannot …" in the error.
	what string
	// ignore lists the errors that are as good as success.
	ignore []unix.Errno
}

// newRequest prepares a message of the given type (unix.RTM_*).
func newRequest(what string, kind, flags int, ignore ...unix.Errno) request {
	return request{nl.NewNetlinkRequest(kind, flags), what, ignore}
}

func (r request) attr(kind int, data []byte) { r.AddData(nl.NewRtAttr(kind, data)) }

// rtnl is a route netlink socket that sends many requests in one system call:
// the kernel handles them before sendto returns, so a batch is two system calls
// however long it is. It is not safe for concurrent use.
type rtnl struct {
	fd   int
	port uint32
	seq  uint32
	buf  []byte
}

// openRtnl opens a socket in the calling thread's network namespace.
func openRtnl() (*rtnl, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("cannot open a route socket: %w", err)
	}
	// Long batches have many answers; without these options each error would
	// also carry back the request that caused it, and no explanation.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot open a route socket: %w", err)
	}
	return &rtnl{fd: fd, port: portOf(fd), buf: make([]byte, 16<<10)}, nil // the kernel sends 8 KiB at most
}

func (s *rtnl) Close() error { return unix.Close(s.fd) }

// do sends all requests at once. The kernel carries on after a request that
// failed; the error is that of the first one. Replies holds, for each request,
// the payload of the one message it was answered with, if any.
func (s *rtnl) do(reqs ...request) (replies [][]byte, err error) {
	var out []byte
	first := s.seq + 1
	for _, r := range reqs {
		s.seq++
		r.Seq = s.seq
		r.Flags |= unix.NLM_F_ACK
		out = append(out, r.Serialize()...)
		out = append(out, make([]byte, -len(out)&3)...)
	}
	if err := unix.Sendto(s.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("cannot send %d route requests: %w", len(reqs), err)
	}
	replies = make([][]byte, len(reqs))
	failed := make([]error, len(reqs))
	for left := len(reqs); left > 0; {
		done, err := s.receive(first, replies, failed)
		if err != nil {
			return nil, err
		}
		left -= done
	}
	for i, cause := range failed {
		if cause != nil && !reqs[i].tolerates(cause) {
			return replies, fmt.Errorf("cannot %s: %w", reqs[i].what, cause)
		}
	}
	return replies, nil
}

func (r request) tolerates(err error) bool {
	for _, no := range r.ignore {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// receive reads one datagram and counts the requests it concludes.
func (s *rtnl) receive(first uint32, replies [][]byte, failed []error) (done int, err error) {
	n, _, err := unix.Recvfrom(s.fd, s.buf, 0)
	if err == unix.EINTR {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot receive route answers: %w", err)
	}
	for b := s.buf[:n]; len(b) >= unix.SizeofNlMsghdr; {
		h := (*unix.NlMsghdr)(unsafe.Pointer(&b[0]))
		if h.Len < unix.SizeofNlMsghdr || int(h.Len) > len(b) {
			return done, fmt.Errorf("cannot parse route answer: %w", unix.EBADMSG)
		}
		body := b[unix.SizeofNlMsghdr:h.Len]
		b = b[min(len(b), int(h.Len+3)&^3):]
		i := int(h.Seq - first)
		if i < 0 || i >= len(replies) {
			continue // an answer to a batch that was given up
		}
		if h.Type != unix.NLMSG_ERROR {
			replies[i] = append([]byte(nil), body...)
			continue
		}
		done++
		failed[i] = ackError(body, h.Flags)
	}
	return done, nil
}

// ackError decodes struct nlmsgerr and its extended text.
func ackError(body []byte, flags uint16) error {
	if len(body) < 4+unix.SizeofNlMsghdr {
		return unix.EBADMSG
	}
	no := -int32(binary.NativeEndian.Uint32(body))
	if no == 0 {
		return nil
	}
	if flags&unix.NLM_F_ACK_TLVS == 0 {
		return unix.Errno(no)
	}
	attrs, err := nl.ParseRouteAttr(body[4+unix.SizeofNlMsghdr:])
	if err != nil {
		return unix.Errno(no)
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.NLMSGERR_ATTR_MSG {
			return fmt.Errorf("%w (%s)", unix.Errno(no), unix.ByteSliceToString(a.Value))
		}
	}
	return unix.Errno(no)
}
