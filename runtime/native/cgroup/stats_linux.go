package cgroup

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"stack/runtime"
)

// Statistics are read from the files directly: containerd's package for them,
// with protobuf and D-Bus behind it, cost a process 2 ms and 4 MB before its main.

// counter reads a file that holds one number; limits that are none read as zero,
// as absent files do.
func counter(dir, name string) (uint64, error) {
	n, err := readLimit(dir + "/" + name)
	if err != nil {
		return 0, notFound(err)
	}
	return uint64(max(n, 0)), nil
}

// text reads a file that may be absent.
func text(dir, name string) (string, error) {
	t, err := readValue(dir + "/" + name)
	if gone(err) {
		return "", nil
	}
	return t, err
}

// reading collects the first error of many reads.
type reading struct{ err error }

func (r *reading) counter(dir, name string) uint64 {
	n, err := counter(dir, name)
	if r.err == nil {
		r.err = err
	}
	return n
}

func (r *reading) text(dir, name string) string {
	t, err := text(dir, name)
	if r.err == nil {
		r.err = err
	}
	return t
}

func (g *v1) stats() (runtime.Stats, error) {
	if !exists(g.reference()) {
		return runtime.Stats{}, ErrNotFound
	}
	at := func(controller string) string { return g.file(controller, "") }
	var r reading
	memory, pids, blkio := at("memory"), at("pids"), at("blkio")
	s := runtime.Stats{
		At:          time.Now(),
		CPUUsage:    time.Duration(r.counter(at("cpuacct"), "cpuacct.usage")),
		Throttled:   time.Duration(keyValue(r.text(at("cpu"), "cpu.stat"), "throttled_time")),
		MemoryLimit: r.counter(memory, "memory.limit_in_bytes"),
		Pids:        r.counter(pids, "pids.current"),
		PidsLimit:   r.counter(pids, "pids.max"),
	}
	used := r.counter(memory, "memory.usage_in_bytes")
	s.Memory = below(used, keyValue(r.text(memory, "memory.stat"), "total_inactive_file"))
	s.Swap = below(r.counter(memory, "memory.memsw.usage_in_bytes"), used)
	s.ReadBytes, s.WriteBytes = diskBytes(r.text(blkio, "blkio.throttle.io_service_bytes_recursive"))
	if s.ReadBytes+s.WriteBytes == 0 {
		s.ReadBytes, s.WriteBytes = diskBytes(r.text(blkio, "blkio.bfq.io_service_bytes_recursive"))
	}
	if r.err != nil {
		return runtime.Stats{}, r.err
	}
	var err error
	s.OOMKills, err = g.oomKills()
	return s, err
}

// diskBytes adds up lines of "MAJOR:MINOR Read BYTES".
func diskBytes(text string) (read, written uint64) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		n, _ := strconv.ParseUint(f[2], 10, 64)
		switch f[1] {
		case "Read":
			read += n
		case "Write":
			written += n
		}
	}
	return read, written
}

func (g *v2) stats() (runtime.Stats, error) {
	dir := g.at()
	if !exists(dir) {
		return runtime.Stats{}, ErrNotFound
	}
	var r reading
	cpu := r.text(dir, "cpu.stat")
	s := runtime.Stats{
		At:          time.Now(),
		CPUUsage:    time.Duration(keyValue(cpu, "usage_usec")) * time.Microsecond,
		Throttled:   time.Duration(keyValue(cpu, "throttled_usec")) * time.Microsecond,
		Memory:      below(r.counter(dir, "memory.current"), keyValue(r.text(dir, "memory.stat"), "inactive_file")),
		MemoryLimit: r.counter(dir, "memory.max"),
		Swap:        r.counter(dir, "memory.swap.current"),
		Pids:        r.counter(dir, "pids.current"),
		PidsLimit:   r.counter(dir, "pids.max"),
		OOMKills:    keyValue(r.text(dir, "memory.events"), "oom_kill"),
	}
	s.ReadBytes, s.WriteBytes = deviceBytes(r.text(dir, "io.stat"))
	if r.err != nil {
		return runtime.Stats{}, r.err
	}
	if !exists(dir) { // a vanished file reads as zero
		return runtime.Stats{}, fmt.Errorf("it was removed meanwhile: %w", ErrNotFound)
	}
	return s, nil
}

// deviceBytes adds up lines of "MAJOR:MINOR rbytes=BYTES wbytes=BYTES ...".
func deviceBytes(text string) (read, written uint64) {
	for word := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(word, "=")
		n, _ := strconv.ParseUint(value, 10, 64)
		switch key {
		case "rbytes":
			read += n
		case "wbytes":
			written += n
		}
	}
	return read, written
}

// below is the difference of two counters that were not read at one moment.
func below(total, part uint64) uint64 { return total - min(total, part) }
