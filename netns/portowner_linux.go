package netns

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// portOwner names the process that holds a port, as "nginx (pid 123)"; "" when
// it cannot be found.
func portOwner(p Port) string {
	inodes := make(map[string]bool)
	for _, suffix := range []string{"", "6"} {
		socketInodes(filepath.Join("/proc/thread-self/net", p.Protocol+suffix), p, inodes)
	}
	if p.Protocol == "tcp" {
		boundInodes(p, inodes)
	}
	if len(inodes) == 0 {
		return ""
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/fd")
	for _, dir := range procs {
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			to, err := os.Readlink(filepath.Join(dir, fd.Name()))
			if err == nil && inodes[to] {
				return processName(filepath.Dir(dir))
			}
		}
	}
	return ""
}

func processName(dir string) string {
	comm, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return "process " + filepath.Base(dir)
	}
	name := strings.TrimSpace(string(comm))
	if name == "stack-shim" {
		name = shimName(dir)
	}
	return fmt.Sprintf("%s (pid %s)", printable(name), filepath.Base(dir))
}

// printable replaces what could steer the reader's terminal: a process calls itself
// what it likes.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
}

// shimName tells whose shim it is that keeps a port: its command line ends with the
// controller's --project-name NAME.
func shimName(dir string) string {
	line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	if n := len(args); n > 1 && args[n-2] == "--project-name" {
		return ownerPrefix + args[n-1]
	}
	return "stack-shim"
}

// socketInodes finds the sockets of /proc/net/{tcp,udp}{,6} that stand in the
// way of p, as "socket:[INODE]".
func socketInodes(path string, p Port, out map[string]bool) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	const established, timeWait = "01", "06"
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text()) // sl local remote st … uid timeout inode
		if len(w) < 10 || w[3] == timeWait || p.Protocol == "tcp" && w[3] == established {
			continue
		}
		local, err := parseProcAddr(w[1])
		if err != nil || local.Port() != p.HostPort {
			continue
		}
		if inTheWay(p, local.Addr()) {
			out["socket:["+w[9]+"]"] = true
		}
	}
}

func inTheWay(p Port, bound netip.Addr) bool {
	return p.wildcard() || p.HostIP.IsUnspecified() || bound.IsUnspecified() || bound.Unmap() == p.HostIP.Unmap()
}

// boundInodes finds TCP sockets that are bound and do not listen, such as the
// reservations of other stacks; /proc/net/tcp does not show them. See struct
// inet_diag_req_v2 and inet_diag_msg in linux/inet_diag.h; the state is known
// since Linux 6.8.
func boundInodes(p Port, out map[string]bool) {
	const boundInactive = 1 << 13
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		ask := make([]byte, 56)
		ask[0], ask[1] = family, unix.IPPROTO_TCP
		binary.NativeEndian.PutUint32(ask[4:], boundInactive)
		req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		req.AddRawData(ask)
		msgs, err := req.Execute(unix.NETLINK_INET_DIAG, 0)
		if err != nil {
			continue
		}
		for _, m := range msgs {
			if len(m) < 72 || binary.BigEndian.Uint16(m[4:]) != p.HostPort {
				continue
			}
			n := map[byte]int{unix.AF_INET: 4, unix.AF_INET6: 16}[m[0]]
			if bound, ok := netip.AddrFromSlice(m[8 : 8+n]); ok && inTheWay(p, bound) {
				out[fmt.Sprintf("socket:[%d]", binary.NativeEndian.Uint32(m[68:]))] = true
			}
		}
	}
}

// parseProcAddr reads "0100007F:1F90": 32-bit words in the machine's byte order
// (little-endian on all of ours), a port in hexadecimal.
func parseProcAddr(text string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil || len(host)%8 != 0 {
		return netip.AddrPort{}, fmt.Errorf("bad address %q", text)
	}
	var b []byte
	for ; host != ""; host = host[8:] {
		word, err := strconv.ParseUint(host[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("bad address %q", text)
		}
		b = append(b, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("bad address %q", text)
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}
