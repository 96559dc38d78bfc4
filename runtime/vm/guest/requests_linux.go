package guest

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"stack/runtime"
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

// state tells what the container uses. A busy machine must answer: it counts only.
func (g *Guest) state(s *wire.Stream) error {
	b, err := os.ReadFile(filepath.Join(cgroupRoot, containerGroup, "pids.current"))
	if err != nil {
		return runtime.ErrNotRunning
	}
	pids, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return err
	}
	return s.Send(wire.Message{Usage: &wire.Usage{Pids: pids}})
}

// list tells of the container's processes.
func (g *Guest) list(ctx context.Context, s *wire.Stream) error {
	id, err := g.containerID()
	if err != nil {
		return err
	}
	pids, err := g.runtime.Pids(ctx, id)
	if err != nil {
		return err
	}
	u := &wire.Usage{Pids: uint64(len(pids))}
	for _, pid := range pids {
		if p, err := ps.Read(pid); err == nil { // or it ended
			u.Processes = append(u.Processes, wire.Process(p))
		}
	}
	return s.Send(wire.Message{Usage: u})
}
