package vm

import (
	"context"
	"strings"

	"stack/runtime/vm/wire"
)

// Process is one of a machine's container, in the guest's numbers.
type Process = wire.Process

// Processes lists those of a machine's container. What the guest says of them is made
// fit for a terminal.
func (r *Runtime) Processes(ctx context.Context, id string) ([]Process, error) {
	u, err := r.usage(ctx, id, wire.OpList)
	if err != nil {
		return nil, err
	}
	for i := range u.Processes {
		p := &u.Processes[i]
		p.Command, p.TTY = printable(p.Command), printable(p.TTY)
	}
	return u.Processes, nil
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
