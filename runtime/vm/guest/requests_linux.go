package guest

import (
	"bytes"
	"context"
	"net"
	"os"
	"strconv"
	"strings"

	"stack/runtime/native/ps"
	"stack/runtime/vm/wire"
)

// dial connects to an address inside, for probes.
func (g *Guest) dial(s *wire.Stream, r wire.Request) error {
	c, err := net.Dial(r.Network, r.Address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := s.Send(wire.Message{Started: true}); err != nil {
		return err
	}
	wire.Join(s, c)
	return nil
}

// state tells what the container uses.
func (g *Guest) state(ctx context.Context, s *wire.Stream) error {
	id, err := g.containerID()
	if err != nil {
		return err
	}
	pids, err := g.runtime.Pids(ctx, id)
	if err != nil {
		return err
	}
	u := &wire.Usage{Pids: uint64(len(pids)), Memory: usedMemory()}
	for _, pid := range pids {
		if p, err := ps.Read(pid); err == nil { // or it ended
			u.Processes = append(u.Processes, wire.Process(p))
		}
	}
	return s.Send(wire.Message{Usage: u})
}

// usedMemory is the machine's, without what it would give back.
func usedMemory() uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	kb := map[string]uint64{}
	for line := range bytes.Lines(b) {
		if f := strings.Fields(string(line)); len(f) > 1 {
			kb[f[0]], _ = strconv.ParseUint(f[1], 10, 64)
		}
	}
	return (kb["MemTotal:"] - kb["MemAvailable:"]) << 10
}
