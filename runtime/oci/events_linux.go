package oci

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native"
)

// event is a line of `events`, with the names that runc gives them.
type event struct {
	Type string     `json:"type"`
	ID   string     `json:"id"`
	Data *statsJSON `json:"data,omitempty"`
}

type statsJSON struct {
	CPU    cpuJSON    `json:"cpu"`
	Memory memoryJSON `json:"memory"`
	Pids   pidsJSON   `json:"pids"`
	Blkio  blkioJSON  `json:"blkio"`
}

type cpuJSON struct {
	Usage struct {
		Total uint64 `json:"total"` // nanoseconds
	} `json:"usage"`
	Throttling struct {
		Time uint64 `json:"throttledTime"`
	} `json:"throttling"`
	PSI *runtime.Pressure `json:"psi,omitempty"`
}

type memoryJSON struct {
	Usage usageJSON `json:"usage"`
	Swap  usageJSON `json:"swap"`

	PSI *runtime.Pressure `json:"psi,omitempty"`
}

type usageJSON struct {
	Limit uint64 `json:"limit"`
	Usage uint64 `json:"usage"`
}

type pidsJSON struct {
	Current uint64 `json:"current"`
	Limit   uint64 `json:"limit,omitempty"`
}

type blkioJSON struct {
	Bytes []blkioEntry `json:"ioServiceBytesRecursive"`

	PSI *runtime.Pressure `json:"psi,omitempty"`
}

type blkioEntry struct {
	Op    string `json:"op"`
	Value uint64 `json:"value"`
}

func newStats(s runtime.Stats) *statsJSON {
	j := &statsJSON{
		Memory: memoryJSON{Usage: usageJSON{s.MemoryLimit, s.Memory}, Swap: usageJSON{Usage: s.Swap}, PSI: s.MemoryPressure},
		Pids:   pidsJSON{s.Pids, s.PidsLimit},
		Blkio:  blkioJSON{[]blkioEntry{{"Read", s.ReadBytes}, {"Write", s.WriteBytes}}, s.IOPressure},
	}
	j.CPU.PSI = s.CPUPressure
	j.CPU.Usage.Total, j.CPU.Throttling.Time = uint64(s.CPUUsage), uint64(s.Throttled)
	return j
}

// events prints until the container's first process ends.
func events(c *call, f *flag.FlagSet, args []string) error {
	once := f.Bool("stats", false, "print the statistics once")
	every := f.Duration("interval", 5*time.Second, "`time` between statistics")
	id, err := parseID(f, args)
	if err != nil {
		return err
	}
	if *every <= 0 {
		return usageError{errors.New("events: the interval must be above zero")}
	}
	if c.Stats == nil {
		return c.handOver()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	w := &watch{rt: c.native(), id: id, out: json.NewEncoder(c.out)}
	if *once {
		return explain(id, w.stats(ctx))
	}
	err = w.follow(ctx, *every)
	if errors.Is(err, runtime.ErrNotRunning) || ctx.Err() != nil {
		return nil
	}
	return explain(id, err)
}

// handOver executes the program that has statistics, with the same arguments.
func (c *call) handOver() error {
	if len(c.Fuller) == 0 {
		return errors.New("this program was built without statistics")
	}
	err := unix.Exec(c.Fuller[0], slices.Concat(c.Fuller, c.args), os.Environ())
	return fmt.Errorf("cannot execute %s, which reads the statistics: %w", c.Fuller[0], err)
}

type watch struct {
	rt  *native.Runtime
	id  string
	out *json.Encoder
}

func (w *watch) stats(ctx context.Context) error {
	s, err := w.rt.Stats(ctx, w.id)
	if err != nil {
		return err
	}
	return w.out.Encode(event{"stats", w.id, newStats(s)})
}

func (w *watch) follow(ctx context.Context, every time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended, err := w.rt.Ended(ctx, w.id)
	if err != nil {
		return err
	}
	killed, err := w.rt.OOMEvents(ctx, w.id)
	if err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return nil
		case _, ok := <-killed:
			if !ok {
				killed = nil
				continue
			}
			err = w.out.Encode(event{Type: "oom", ID: w.id})
		case <-tick.C:
			err = w.stats(ctx)
		}
		if err != nil {
			return err
		}
	}
}
