package oci

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func update(c *call, f *flag.FlagSet, args []string) error {
	file := f.String("resources", "", "`file` with linux.resources as JSON, - for standard input")
	alias(f, "r", "resources")
	var r specs.LinuxResources
	resourceFlags(f, &r)
	id, err := parseID(f, args)
	if err != nil {
		return err
	}
	if *file != "" {
		if r, err = readResources(*file); err != nil {
			return err
		}
	}
	return explain(id, c.native().Update(context.Background(), id, &r))
}

func readResources(name string) (r specs.LinuxResources, err error) {
	in := os.Stdin
	if name != "-" {
		if in, err = os.Open(name); err != nil {
			return r, fmt.Errorf("cannot read resources: %w", err)
		}
		defer in.Close()
	}
	text, err := io.ReadAll(io.LimitReader(in, maxConfig))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("cannot read resources: %w", explainJSON(text, err))
	}
	return r, nil
}

// resourceFlags fill r with what is given.
func resourceFlags(f *flag.FlagSet, r *specs.LinuxResources) {
	cpu := func() *specs.LinuxCPU { return orNew(&r.CPU) }
	memory := func() *specs.LinuxMemory { return orNew(&r.Memory) }
	number(f, "blkio-weight", "block I/O `weight`, 10 to 1000", func(v uint16) { orNew(&r.BlockIO).Weight = &v })
	number(f, "cpu-period", "`microseconds` of a CPU period", func(v uint64) { cpu().Period = &v })
	number(f, "cpu-quota", "`microseconds` of CPU time in a period", func(v int64) { cpu().Quota = &v })
	number(f, "cpu-burst", "`microseconds` of CPU time that may be saved up", func(v uint64) { cpu().Burst = &v })
	number(f, "cpu-share", "`weight` against others", func(v uint64) { cpu().Shares = &v })
	number(f, "cpu-rt-period", "`microseconds` of a realtime period", func(v uint64) { cpu().RealtimePeriod = &v })
	number(f, "cpu-rt-runtime", "`microseconds` of realtime in a period", func(v int64) { cpu().RealtimeRuntime = &v })
	number(f, "cpu-idle", "1: only what nobody else wants", func(v int64) { cpu().Idle = &v })
	f.Func("cpuset-cpus", "`list` of processors", func(v string) error { cpu().Cpus = v; return nil })
	f.Func("cpuset-mems", "`list` of memory nodes", func(v string) error { cpu().Mems = v; return nil })
	size(f, "memory", "`bytes`, or with k, m, g", func(v int64) { memory().Limit = &v })
	size(f, "memory-reservation", "`bytes`", func(v int64) { memory().Reservation = &v })
	size(f, "memory-swap", "`bytes` of memory and swap together", func(v int64) { memory().Swap = &v })
	number(f, "pids-limit", "`number` of processes", func(v int64) { orNew(&r.Pids).Limit = &v })
}

func orNew[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

func number[T uint16 | uint64 | int64](f *flag.FlagSet, name, about string, set func(T)) {
	f.Func(name, about, func(text string) error {
		n, err := strconv.ParseInt(text, 10, 64)
		if err == nil && (int64(T(n)) != n || n < 0 && T(0)-1 > 0) {
			err = strconv.ErrRange
		}
		if err == nil {
			set(T(n))
		}
		return err
	})
}

func size(f *flag.FlagSet, name, about string, set func(int64)) {
	f.Func(name, about, func(text string) error {
		n, err := parseSize(text)
		if err == nil {
			set(n)
		}
		return err
	})
}

// parseSize reads "512m"; -1 is no limit.
func parseSize(text string) (int64, error) {
	digits := strings.TrimSuffix(strings.ToLower(text), "b")
	shift := 0
	for i, unit := range []string{"k", "m", "g", "t"} {
		if rest, ok := strings.CutSuffix(digits, unit); ok {
			digits, shift = rest, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err == nil && (n < -1 || n<<shift>>shift != n || n < 0 && shift > 0) {
		err = strconv.ErrRange
	}
	return n << shift, err
}
