package dns

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"strings"
	"sync"
)

// maxServers is how many name servers of a resolv.conf count: MAXNS of resolver(5).
const maxServers = 3

// hostServers are the name servers of the host's resolv.conf, read again whenever
// the file is another one.
type hostServers struct {
	file string

	mu   sync.Mutex
	seen os.FileInfo
	list []netip.AddrPort
}

func (h *hostServers) servers() []netip.AddrPort {
	h.mu.Lock()
	defer h.mu.Unlock()
	info, err := os.Stat(h.file)
	if err == nil && h.seen != nil && os.SameFile(info, h.seen) && info.ModTime().Equal(h.seen.ModTime()) && info.Size() == h.seen.Size() {
		return h.list
	}
	data, err := os.ReadFile(h.file)
	if err != nil {
		// As the C library does. What was known is better where the file is only
		// being replaced.
		if h.list == nil {
			return parseServers(nil)
		}
		return h.list
	}
	h.seen, h.list = info, parseServers(data)
	return h.list
}

// parseServers reads the nameserver lines of a resolv.conf; without any it is the
// host itself, see resolver(5).
func parseServers(data []byte) []netip.AddrPort {
	var list []netip.AddrPort
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() && len(list) < maxServers {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil {
			list = append(list, netip.AddrPortFrom(addr, 53))
		}
	}
	if len(list) == 0 {
		list = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return list
}
