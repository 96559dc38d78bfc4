package main

import (
	"testing"
	"time"

	"stack/runtime"
)

func TestStatsRow(t *testing.T) {
	at := time.Unix(1000, 0)
	sample := func(after, cpu time.Duration) usage {
		return usage{id: "0123456789abcdef", name: "p-a-1", running: true, received: 1500, sent: 2_000_000, Stats: runtime.Stats{
			At: at.Add(after), CPUUsage: cpu, Memory: 32 << 20, MemoryLimit: 64 << 20, Pids: 3, ReadBytes: 4096,
		}}
	}
	o := &statsOptions{}
	got := o.row(sample(2*time.Second, 4*time.Second), []usage{sample(0, time.Second)})
	want := statsRow{BlockIO: "4.1kB / 0B", CPUPerc: "150.00%", Container: "p-a-1", ID: "0123456789ab", MemPerc: "50.00%",
		MemUsage: "32MiB / 64MiB", Name: "p-a-1", NetIO: "1.5kB / 2MB", PIDs: "3"}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for name, before := range map[string][]usage{
		"new":         nil,
		"another run": {sample(0, time.Hour)},
		"stopped":     {{id: "0123456789abcdef"}},
		"no time":     {sample(2*time.Second, 0)},
	} {
		if got := cpuShare(sample(2*time.Second, 4*time.Second), before); got != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := o.row(usage{id: "x", name: "p-b-1"}, nil); got.CPUPerc != "--" || got.MemUsage != "-- / --" {
		t.Errorf("stopped: %+v", got)
	}
	pressed := sample(0, 0)
	pressed.CPUPressure = &runtime.Pressure{Some: runtime.Stall{Avg10: 12.5, Avg60: 3}}
	if got := o.row(pressed, nil).Pressure; got != "" {
		t.Errorf("a part of the pressure is %q", got)
	}
	pressed.MemoryPressure, pressed.IOPressure = &runtime.Pressure{}, &runtime.Pressure{Some: runtime.Stall{Avg10: 1}}
	if got := o.row(pressed, nil).Pressure; got != "cpu 12.50% memory 0.00% io 1.00%" {
		t.Errorf("the pressure is %q", got)
	}
	unlimited := sample(0, 0)
	unlimited.MemoryLimit = 0
	if got := o.row(unlimited, nil); got.MemPerc == "0.00%" || got.MemUsage == "32MiB / 0B" {
		t.Errorf("without a limit the machine's memory is the limit: %+v", got)
	}
}
