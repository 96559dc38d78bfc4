package main

import (
	"fmt"
	"strconv"

	"github.com/docker/go-units"

	"stack/runtime"
	"stack/runtime/native"
)

// statsRow is a container in `stats`, with Docker's keys.
type statsRow struct {
	BlockIO, CPUPerc, Container, ID, MemPerc, MemUsage, Name, NetIO, PIDs string
	// Pressure is how much of the last ten seconds some process stood still; empty
	// where the kernel does not count that.
	Pressure string `json:",omitempty"`
}

// row compares a sample with the one before; a container that was not there before
// shows no CPU use yet.
func (o *statsOptions) row(u usage, before []usage) statsRow {
	r := statsRow{Container: u.name, Name: u.name, ID: u.id}
	if !o.noTrunc {
		r.ID = shortID(u.id)
	}
	if !u.running {
		r.BlockIO, r.CPUPerc, r.MemPerc, r.MemUsage, r.NetIO, r.PIDs = "-- / --", "--", "--", "-- / --", "-- / --", "--"
		return r
	}
	r.CPUPerc = percent(cpuShare(u, before))
	limit := u.MemoryLimit
	if total := native.TotalMemory(); limit == 0 || total > 0 && limit > total {
		limit = total
	}
	share := 0.0
	if limit > 0 {
		share = float64(u.Memory) / float64(limit)
	}
	r.MemPerc = percent(share)
	r.MemUsage = units.BytesSize(float64(u.Memory)) + " / " + units.BytesSize(float64(limit))
	r.NetIO = size(u.received) + " / " + size(u.sent)
	r.BlockIO = size(u.ReadBytes) + " / " + size(u.WriteBytes)
	r.PIDs = strconv.FormatUint(u.Pids, 10)
	r.Pressure = pressureText(u.Stats)
	return r
}

func pressureText(s runtime.Stats) string {
	if s.CPUPressure == nil || s.MemoryPressure == nil || s.IOPressure == nil {
		return ""
	}
	return fmt.Sprintf("cpu %.2f%% memory %.2f%% io %.2f%%", s.CPUPressure.Some.Avg10, s.MemoryPressure.Some.Avg10, s.IOPressure.Some.Avg10)
}

func percent(share float64) string { return fmt.Sprintf("%.2f%%", share*100) }

// cpuShare is the number of CPUs in use between two samples.
func cpuShare(u usage, before []usage) float64 {
	for _, b := range before {
		wall := u.At.Sub(b.At)
		if b.id != u.id || !b.running || wall <= 0 || u.CPUUsage < b.CPUUsage { // another run
			continue
		}
		return float64(u.CPUUsage-b.CPUUsage) / float64(wall)
	}
	return 0
}
