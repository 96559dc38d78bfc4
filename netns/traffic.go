package netns

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Traffic counts the bytes that the network namespace of a process has received
// and sent, loopback left out. A process in the caller's own namespace has no
// traffic of its own: zero.
func Traffic(pid int) (received, sent uint64, err error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	theirs, err := os.Readlink(dir + "ns/net")
	if err != nil {
		return 0, 0, fmt.Errorf("cannot read traffic: %w", err)
	}
	if ours, err := os.Readlink("/proc/self/ns/net"); err == nil && ours == theirs {
		return 0, 0, nil
	}
	f, err := os.Open(dir + "net/dev")
	if err != nil {
		return 0, 0, fmt.Errorf("cannot read traffic: %w", err)
	}
	defer f.Close()
	return parseTraffic(f)
}

// parseTraffic adds up /proc/PID/net/dev: "name: bytes packets … (8 columns
// received) bytes … (8 columns sent)".
func parseTraffic(r io.Reader) (received, sent uint64, err error) {
	for s := bufio.NewScanner(r); s.Scan(); {
		name, rest, ok := strings.Cut(s.Text(), ":")
		fields := strings.Fields(rest)
		if !ok || strings.TrimSpace(name) == "lo" || len(fields) < 9 {
			continue
		}
		in, err1 := strconv.ParseUint(fields[0], 10, 64)
		out, err2 := strconv.ParseUint(fields[8], 10, 64)
		if err := errorsOf(err1, err2); err != nil {
			return 0, 0, fmt.Errorf("cannot read traffic of %s: %w", name, err)
		}
		received, sent = received+in, sent+out
	}
	return received, sent, nil
}
