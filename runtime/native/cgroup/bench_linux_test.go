package cgroup

import (
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// BenchmarkLife is what a replica's groups cost: make, enter by a fresh thread,
// remove. "limited" has the limits and the device rules of a usual container.
func BenchmarkLife(b *testing.B) {
	for name, r := range map[string]*specs.LinuxResources{"bare": nil, "limited": usual()} {
		b.Run(name, func(b *testing.B) {
			p := project(b)
			sibling, _, err := Create(p+"/sibling", nil)
			check(b, err)
			var create, enter, remove time.Duration
			for b.Loop() {
				began := time.Now()
				g, _, err := Create(p+"/x", r)
				check(b, err)
				create += time.Since(began)
				began = time.Now()
				entered, leave := make(chan error), make(chan struct{})
				go enterAndStay(g, entered, leave)
				check(b, <-entered)
				enter += time.Since(began)
				close(leave)
				until(b, "the thread is gone", func() bool { return content(b, g, "pids", "pids.current") == "0" })
				began = time.Now()
				check(b, g.Delete())
				remove += time.Since(began)
			}
			check(b, sibling.Delete())
			for unit, d := range map[string]time.Duration{"µs/create": create, "µs/enter": enter, "µs/delete": remove} {
				b.ReportMetric(float64(d.Microseconds())/float64(b.N), unit)
			}
		})
	}
}

// BenchmarkFiftyTogether divides the time of fifty lives at once by fifty.
func BenchmarkFiftyTogether(b *testing.B) {
	p := project(b)
	for b.Loop() {
		done := make(chan error)
		for i := range 50 {
			go func() {
				g, _, err := Create(fmt.Sprintf("%s/%d", p, i), usual())
				if err == nil {
					err = g.Delete()
				}
				done <- err
			}()
		}
		for range 50 {
			check(b, <-done)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/50, "µs/group")
}

// usual is what a stack's container is given, with Docker's device rules.
func usual() *specs.LinuxResources {
	devices := []specs.LinuxDeviceCgroup{
		{Access: "rwm"},
		{Allow: true, Type: "c", Access: "m"},
		{Allow: true, Type: "b", Access: "m"},
	}
	for _, d := range [][2]int64{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 2}, {10, 200}, {136, everything}} {
		devices = append(devices, allow("c", d[0], d[1], "rwm"))
	}
	return &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: ptr[int64](256 * mb), Swap: ptr[int64](256 * mb)},
		CPU:     &specs.LinuxCPU{Quota: ptr[int64](50_000), Period: ptr[uint64](100_000)},
		Pids:    &specs.LinuxPids{Limit: ptr[int64](100)},
		Devices: devices,
	}
}
