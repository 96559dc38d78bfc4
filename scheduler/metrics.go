package scheduler

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"

	"stack/runtime"
)

// Metric is a family of samples, as OpenMetrics 1.0 has them.
type Metric struct {
	// Name is without the suffix of counters.
	Name, Help string
	Kind       MetricKind
	Samples    []Sample
}

// MetricKind is a type of OpenMetrics.
type MetricKind string

const (
	Gauge   MetricKind = "gauge"
	Counter MetricKind = "counter"
	Info    MetricKind = "info"
)

// Sample is one value; labels are pairs of name and value.
type Sample struct {
	Labels []string
	Value  float64
}

// Metrics tells how the project stands: its services, its containers and what they
// use, and what this controller has done since it started.
func (c *Controller) Metrics(ctx context.Context) []Metric {
	c.mu.Lock()
	project, started, version := c.Store.Project, c.booted, c.Version
	var all []Instance
	for _, i := range c.sorted() {
		all = append(all, *i)
	}
	wanted := map[string]float64{}
	for name := range c.want.Stack.Services {
		if sw := c.want.Services[name]; sw.Goal == GoalRun && !c.want.Down {
			wanted[name] = float64(sw.Scale)
		}
	}
	c.mu.Unlock()
	out := []Metric{
		{"stack_build", "The program that answers.", Info, []Sample{{[]string{"version", version, "project", project}, 1}}},
		single("stack_controller_start_time_seconds", "When this controller started, since the epoch.", Gauge, float64(started.UnixNano())/1e9),
	}
	out = append(out, c.tally.metrics()...)
	out = append(out, services(all, wanted)...)
	out = append(out, containerMetrics(all)...)
	return append(out, c.usage(ctx, all)...)
}

func single(name, help string, kind MetricKind, value float64) Metric {
	return Metric{name, help, kind, []Sample{{nil, value}}}
}

func (t *tally) metrics() []Metric {
	t.mu.Lock()
	defer t.mu.Unlock()
	by := func(m map[[2]string]uint64, first, second string) (out []Sample) {
		order := func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }
		for _, k := range slices.SortedFunc(maps.Keys(m), order) {
			out = append(out, Sample{[]string{first, k[0], second, k[1]}, float64(m[k])})
		}
		return out
	}
	return []Metric{
		single("stack_controller_turns", "Rounds of the controller's loop: a stack at rest has none.", Counter, float64(t.turns)),
		{"stack_operations", "Operations that ended, by kind and result.", Counter, by(t.operations, "kind", "result")},
		{"stack_events", "Events, by type and action.", Counter, by(t.events, "type", "action")},
	}
}

// services counts replicas, wanted and ready.
func services(all []Instance, wanted map[string]float64) []Metric {
	ready := map[string]float64{}
	for _, i := range all {
		if i.OneOff {
			continue
		}
		if r, _ := i.Readiness(); r {
			ready[i.Service]++
		} else {
			ready[i.Service] += 0
		}
	}
	gauges := func(name, help string, m map[string]float64) Metric {
		out := Metric{Name: name, Help: help, Kind: Gauge}
		for _, s := range slices.Sorted(maps.Keys(m)) {
			out.Samples = append(out.Samples, Sample{[]string{"service", s}, m[s]})
		}
		return out
	}
	return []Metric{
		gauges("stack_service_replicas_wanted", "Replicas that the file and commands ask for.", wanted),
		gauges("stack_service_replicas_ready", "Replicas that new connections go to.", ready),
	}
}

// labelsOf name a container.
func labelsOf(i *Instance, more ...string) []string {
	return append([]string{"service", i.Service, "container", i.Name}, more...)
}

// containerMetrics tell of all containers, also those that do not run.
func containerMetrics(all []Instance) []Metric {
	state := Metric{Name: "stack_container_state", Help: "1 for the state that the container is in.", Kind: Gauge}
	ready := Metric{Name: "stack_container_ready", Help: "Whether new connections go to the container.", Kind: Gauge}
	restarts := Metric{Name: "stack_container_restarts", Help: "Restarts by policy.", Kind: Counter}
	exit := Metric{Name: "stack_container_exit_code", Help: "Code of the last run that ended.", Kind: Gauge}
	for _, i := range all {
		state.Samples = append(state.Samples, Sample{labelsOf(&i, "state", i.Status()), 1})
		value := 0.0
		if r, _ := i.Readiness(); r {
			value = 1
		}
		ready.Samples = append(ready.Samples, Sample{labelsOf(&i), value})
		restarts.Samples = append(restarts.Samples, Sample{labelsOf(&i), float64(i.Restarts)})
		if i.Exit != nil {
			exit.Samples = append(exit.Samples, Sample{labelsOf(&i, "unknown", strconv.FormatBool(i.Exit.Unknown)), float64(i.Exit.Code)})
		}
	}
	return []Metric{state, ready, restarts, exit}
}

// usage reads what running containers use.
func (c *Controller) usage(ctx context.Context, all []Instance) []Metric {
	families := []struct {
		metric Metric
		value  func(runtime.Stats) float64
	}{
		{Metric{Name: "stack_container_cpu_seconds", Help: "Processor time used.", Kind: Counter}, func(s runtime.Stats) float64 { return s.CPUUsage.Seconds() }},
		{Metric{Name: "stack_container_cpu_throttled_seconds", Help: "Time that its limit held it up.", Kind: Counter}, func(s runtime.Stats) float64 { return s.Throttled.Seconds() }},
		{Metric{Name: "stack_container_memory_bytes", Help: "Memory used, without inactive page cache.", Kind: Gauge}, func(s runtime.Stats) float64 { return float64(s.Memory) }},
		{Metric{Name: "stack_container_memory_limit_bytes", Help: "Limit of memory, 0 for none.", Kind: Gauge}, func(s runtime.Stats) float64 { return float64(s.MemoryLimit) }},
		{Metric{Name: "stack_container_pids", Help: "Processes and threads.", Kind: Gauge}, func(s runtime.Stats) float64 { return float64(s.Pids) }},
		{Metric{Name: "stack_container_read_bytes", Help: "Bytes read from block devices.", Kind: Counter}, func(s runtime.Stats) float64 { return float64(s.ReadBytes) }},
		{Metric{Name: "stack_container_written_bytes", Help: "Bytes written to block devices.", Kind: Counter}, func(s runtime.Stats) float64 { return float64(s.WriteBytes) }},
		{Metric{Name: "stack_container_oom_kills", Help: "Processes killed for lack of memory in this run.", Kind: Counter}, func(s runtime.Stats) float64 { return float64(s.OOMKills) }},
	}
	for _, i := range all {
		if !i.live() {
			continue
		}
		s, err := c.Runtime.Stats(ctx, i.ID)
		if err != nil {
			continue // it has ended meanwhile
		}
		for n := range families {
			families[n].metric.Samples = append(families[n].metric.Samples, Sample{labelsOf(&i), families[n].value(s)})
		}
	}
	var out []Metric
	for _, f := range families {
		out = append(out, f.metric)
	}
	return out
}
