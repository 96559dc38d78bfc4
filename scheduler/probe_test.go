package scheduler

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"pgregory.net/rapid"

	"stack/runtime/image"
)

func TestNewProbe(t *testing.T) {
	second := int64(time.Second)
	img := &image.Healthcheck{Test: []string{"CMD", "img"}, Interval: 7 * second, Retries: 9}
	defaults := Probe{Test: []string{"CMD", "x"}, Interval: 30 * time.Second, Timeout: 30 * time.Second, StartInterval: 5 * time.Second, Retries: 3}
	merged := defaults
	merged.Test, merged.Interval, merged.Timeout, merged.Retries = []string{"CMD", "img"}, 7*time.Second, 2*time.Second, 9
	ownTest := defaults
	ownTest.Interval, ownTest.Retries = 7*time.Second, 9
	for name, c := range map[string]struct {
		own  *types.HealthCheckConfig
		img  *image.Healthcheck
		want Probe
		err  string
	}{
		"none":                {},
		"defaults":            {own: &types.HealthCheckConfig{Test: []string{"CMD", "x"}}, want: defaults},
		"disabled":            {own: &types.HealthCheckConfig{Disable: true}, img: img},
		"NONE":                {own: &types.HealthCheckConfig{Test: []string{"NONE"}}, img: img},
		"image's NONE":        {img: &image.Healthcheck{Test: []string{"NONE"}}},
		"own timing, its cmd": {own: &types.HealthCheckConfig{Timeout: new(types.Duration(2 * time.Second))}, img: img, want: merged},
		"own cmd, its timing": {own: &types.HealthCheckConfig{Test: []string{"CMD", "x"}}, img: img, want: ownTest},
		"unknown form":        {own: &types.HealthCheckConfig{Test: []string{"curl", "x"}}, err: `test begins with "curl"`},
		"no command":          {own: &types.HealthCheckConfig{Test: []string{"CMD"}}, err: "nothing follows CMD"},
	} {
		got, err := NewProbe(c.own, c.img)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got error %v", name, err)
			}
		} else if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

func TestProbeArgs(t *testing.T) {
	if got := (Probe{Test: []string{"CMD-SHELL", "a | b"}}).Args(); !reflect.DeepEqual(got, []string{"/bin/sh", "-c", "a | b"}) {
		t.Error(got)
	}
	if got := (Probe{Test: []string{"CMD", "a", "b"}}).Args(); !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Error(got)
	}
}

func TestProbeLogIsBounded(t *testing.T) {
	start := time.Unix(100, 0)
	s := NewProbeState(testProbe(), start)
	for i := range 9 {
		s.Result(ProbeEntry{Start: s.NextAt(), End: s.NextAt(), ExitCode: i + 1, Output: strings.Repeat("x", 5000)})
	}
	if len(s.Log) != 5 || s.Log[4].ExitCode != 9 || s.Log[0].ExitCode != 5 || len(s.Log[4].Output) != 4096 {
		t.Errorf("log has %d entries from %d to %d", len(s.Log), s.Log[0].ExitCode, s.Log[len(s.Log)-1].ExitCode)
	}
}

func TestProbeCutShortIsNotLogged(t *testing.T) {
	s := NewProbeState(testProbe(), time.Unix(100, 0))
	s.Result(ProbeEntry{Start: s.NextAt(), End: s.Due, ExitCode: -1, TimedOut: true})
	if len(s.Log) != 0 || s.FailingStreak != 0 || s.NextAt() != s.Due {
		t.Errorf("%+v", s)
	}
	s.Result(ProbeEntry{Start: s.Due, End: s.Due.Add(s.Probe.Timeout), ExitCode: -1, TimedOut: true})
	if len(s.Log) != 1 || s.FailingStreak != 1 {
		t.Errorf("%+v", s)
	}
}

func TestProbeSurvivesStorage(t *testing.T) {
	s := NewProbeState(testProbe(), time.Unix(100, 0).UTC())
	s.Result(ProbeEntry{Start: s.NextAt(), End: s.NextAt(), ExitCode: 1})
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back ProbeState
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(&back, s) {
		t.Errorf("%v: got %+v, want %+v", err, back, *s)
	}
}

func testProbe() Probe {
	return Probe{Test: []string{"CMD", "true"}, Interval: 30 * time.Second, Timeout: 3 * time.Second, StartInterval: 5 * time.Second, Retries: 3}
}

// change is a moment at which the health became something.
type change struct {
	at     time.Duration
	health Health
}

// answer is what a probe that starts at a moment says, and how long it takes.
type answer func(at time.Duration) (ok bool, took time.Duration)

// dockerHealth simulates dockerd's monitor (daemon/health.go) for a while.
func dockerHealth(p Probe, probe answer, until time.Duration) (changes []change, starts []time.Duration) {
	status, streak := HealthStarting, 0
	interval := func(now time.Duration) time.Duration {
		if now < p.StartPeriod && status == HealthStarting {
			return p.StartInterval
		}
		return p.Interval
	}
	for now := interval(0); now < until; now += interval(now) {
		start := now
		starts = append(starts, start)
		ok, took := probe(start)
		if took > p.Timeout {
			ok, took = false, p.Timeout
		}
		now += took
		before := status
		if ok {
			status, streak = HealthHealthy, 0
		} else if status != HealthStarting || start >= p.StartPeriod {
			if streak++; streak >= p.Retries {
				status = HealthUnhealthy
			}
		}
		if status != before {
			changes = append(changes, change{now, status})
		}
	}
	return changes, starts
}

// ourHealth drives a ProbeState with an ideal clock.
func ourHealth(p Probe, probe answer, until time.Duration) (changes []change, scheduled []time.Duration) {
	origin := time.Unix(5000, 0)
	s := NewProbeState(p, origin)
	for s.NextAt().Sub(origin) < until {
		start := s.NextAt()
		if start == s.Due {
			scheduled = append(scheduled, start.Sub(origin))
		}
		ok, took := probe(start.Sub(origin))
		r := ProbeEntry{Start: start}
		if limit := s.TimeoutAt(start); took > limit {
			ok, took, r.TimedOut = false, limit, true
		}
		if !ok {
			r.ExitCode = 1
		}
		r.End = start.Add(took)
		if s.Result(r) {
			changes = append(changes, change{r.End.Sub(origin), s.Status})
		}
	}
	return changes, scheduled
}

func healthAt(changes []change, at time.Duration) Health {
	h := HealthStarting
	for _, c := range changes {
		if c.at <= at {
			h = c.health
		}
	}
	return h
}

// Never unhealthy while Docker would not say so; healthy whenever Docker would
// be, or sooner; the scheduled probes are Docker's.
func TestProbeAgainstDocker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string, from, to int) time.Duration {
			return time.Duration(rapid.IntRange(from, to).Draw(t, name)) * time.Millisecond
		}
		p := Probe{Test: []string{"CMD", "x"}, Interval: ms("interval", 1, 4000), Timeout: ms("timeout", 1, 3000),
			StartPeriod: ms("start_period", 0, 9000), StartInterval: ms("start_interval", 1, 2000), Retries: rapid.IntRange(1, 4).Draw(t, "retries")}
		probe := drawAnswer(t)
		const until = 30 * time.Second
		theirs, starts := dockerHealth(p, probe, until)
		ours, scheduled := ourHealth(p, probe, until)
		if !reflect.DeepEqual(starts, scheduled) {
			t.Fatalf("scheduled probes at %v, Docker's at %v", scheduled, starts)
		}
		for _, c := range append(theirs, ours...) {
			us, them := healthAt(ours, c.at), healthAt(theirs, c.at)
			if us == HealthUnhealthy && them != HealthUnhealthy || them == HealthHealthy && us != HealthHealthy {
				t.Fatalf("at %v: ours %s, Docker's %s\nours %v\nDocker's %v", c.at, us, them, ours, theirs)
			}
		}
	})
}

// drawAnswer makes a program whose health comes and goes by stretches of time.
func drawAnswer(t *rapid.T) answer {
	stretch := time.Duration(rapid.IntRange(20, 3000).Draw(t, "stretch")) * time.Millisecond
	oks := rapid.SliceOfN(rapid.Bool(), 1, 40).Draw(t, "ok")
	took := rapid.SliceOfN(rapid.IntRange(0, 4000), 1, 5).Draw(t, "took")
	return func(at time.Duration) (bool, time.Duration) {
		i := int(at / stretch)
		return oks[min(i, len(oks)-1)], time.Duration(took[i%len(took)]) * time.Millisecond
	}
}

// A program that is ready at some moment and answers in no time is called
// healthy within that time again (the gaps double), and never later than the
// schedule's next probe.
func TestProbeIsPrompt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := testProbe()
		p.StartPeriod = time.Duration(rapid.IntRange(0, 60).Draw(t, "start_period")) * time.Second
		ready := time.Duration(rapid.IntRange(0, 25_000).Draw(t, "ready")) * time.Millisecond
		ours, _ := ourHealth(p, func(at time.Duration) (bool, time.Duration) { return at >= ready, 0 }, 100*time.Second)
		if len(ours) != 1 || ours[0].health != HealthHealthy {
			t.Fatalf("changes %v", ours)
		}
		if late := ours[0].at - ready; late > ready+2*probeFirstGap || late > p.Interval {
			t.Fatalf("ready at %v, healthy at %v", ready, ours[0].at)
		}
	})
}

func TestProbeEarlyGolden(t *testing.T) {
	p := testProbe()
	var starts []string
	ourHealth(p, func(at time.Duration) (bool, time.Duration) { starts = append(starts, at.String()); return false, 0 }, 62*time.Second)
	want := "0s 50ms 150ms 350ms 750ms 1.55s 3.15s 6.35s 12.75s 25.55s 30s 51.15s 1m0s"
	if got := strings.Join(starts, " "); got != want {
		t.Errorf("probes at\n%s, want\n%s", got, want)
	}
}
