package scheduler

import (
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"pgregory.net/rapid"

	"stack/runtime"
)

func TestParseRestart(t *testing.T) {
	deploy := func(r types.RestartPolicy) types.ServiceConfig {
		return types.ServiceConfig{Restart: "always", Deploy: &types.DeployConfig{RestartPolicy: &r}}
	}
	for name, c := range map[string]struct {
		service types.ServiceConfig
		want    RestartPolicy
	}{
		"nothing":        {types.ServiceConfig{}, RestartPolicy{Condition: "no"}},
		"no":             {types.ServiceConfig{Restart: "no"}, RestartPolicy{Condition: "no"}},
		"always":         {types.ServiceConfig{Restart: "always"}, RestartPolicy{Condition: "always"}},
		"on-failure":     {types.ServiceConfig{Restart: "on-failure"}, RestartPolicy{Condition: "on-failure"}},
		"job":            {types.ServiceConfig{Deploy: &types.DeployConfig{Mode: "replicated-job"}}, RestartPolicy{Condition: "on-failure"}},
		"job, always":    {types.ServiceConfig{Restart: "always", Deploy: &types.DeployConfig{Mode: "global-job"}}, RestartPolicy{Condition: "on-failure"}},
		"job, no":        {types.ServiceConfig{Restart: "no", Deploy: &types.DeployConfig{Mode: "global-job"}}, RestartPolicy{Condition: "no"}},
		"on-failure:3":   {types.ServiceConfig{Restart: "on-failure:3"}, RestartPolicy{Condition: "on-failure", MaxAttempts: 3}},
		"unless-stopped": {types.ServiceConfig{Restart: "unless-stopped"}, RestartPolicy{Condition: "unless-stopped"}},
		"deploy wins":    {deploy(types.RestartPolicy{Condition: "none"}), RestartPolicy{Condition: "no"}},
		"deploy any":     {deploy(types.RestartPolicy{}), RestartPolicy{Condition: "always"}},
		"deploy full": {deploy(types.RestartPolicy{Condition: "on-failure", MaxAttempts: new(uint64(4)),
			Delay: new(types.Duration(time.Second)), Window: new(types.Duration(time.Minute))}),
			RestartPolicy{Condition: "on-failure", MaxAttempts: 4, Delay: time.Second, Window: time.Minute}},
	} {
		if got := ParseRestart(c.service); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestRestartTable(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	always := RestartPolicy{Condition: "always"}
	failing := RestartPolicy{Condition: "on-failure", MaxAttempts: 3}
	for name, c := range map[string]struct {
		policy  RestartPolicy
		exit    runtime.Exit
		history RestartHistory
		delay   time.Duration // -1: no restart
	}{
		"no":                          {RestartPolicy{Condition: "no"}, runtime.Exit{Code: 1}, RestartHistory{}, -1},
		"always after success":        {always, runtime.Exit{}, RestartHistory{}, 100 * time.Millisecond},
		"always, third quick one":     {always, runtime.Exit{}, RestartHistory{Quick: 2}, 400 * time.Millisecond},
		"always, capped":              {always, runtime.Exit{}, RestartHistory{Quick: 4000}, time.Minute},
		"always, stopped by a person": {always, runtime.Exit{Code: 143}, RestartHistory{Stopped: true}, -1},
		"unless-stopped":              {RestartPolicy{Condition: "unless-stopped"}, runtime.Exit{}, RestartHistory{}, 100 * time.Millisecond},
		"unless-stopped, stopped":     {RestartPolicy{Condition: "unless-stopped"}, runtime.Exit{}, RestartHistory{Stopped: true}, -1},
		"on-failure after success":    {failing, runtime.Exit{}, RestartHistory{}, -1},
		"on-failure after failure":    {failing, runtime.Exit{Code: 1}, RestartHistory{Attempts: 2}, 100 * time.Millisecond},
		"on-failure, unknown code":    {failing, runtime.Exit{Code: -1, Unknown: true}, RestartHistory{}, 100 * time.Millisecond},
		"on-failure, used up":         {failing, runtime.Exit{Code: 1}, RestartHistory{Attempts: 3}, -1},
		"fixed delay":                 {RestartPolicy{Condition: "always", Delay: 3 * time.Second}, runtime.Exit{}, RestartHistory{Quick: 9}, 3 * time.Second},
		"window made good":            {RestartPolicy{Condition: "always", MaxAttempts: 1, Window: time.Second}, runtime.Exit{}, RestartHistory{Attempts: 1}, 100 * time.Millisecond},
		"window not reached":          {RestartPolicy{Condition: "always", MaxAttempts: 1, Window: 2 * time.Second}, runtime.Exit{}, RestartHistory{Attempts: 1}, -1},
	} {
		c.exit.At, c.history.Started = at, at.Add(-time.Second)
		ok, when := c.policy.Next(c.exit, c.history, at)
		if ok != (c.delay >= 0) || ok && when.Sub(at) != c.delay {
			t.Errorf("%s: got %v after %v, want %v", name, ok, when.Sub(at), c.delay)
		}
	}
}

func TestRestartBackOffGolden(t *testing.T) {
	h := RestartHistory{Started: time.Unix(1000, 0)}
	p := RestartPolicy{Condition: "always"}
	var got []time.Duration
	for i := range 13 {
		ran := time.Millisecond
		if i == 11 {
			ran = 10 * time.Second
		}
		exit := runtime.Exit{At: h.Started.Add(ran)}
		_, at := p.Next(exit, h, exit.At)
		got = append(got, at.Sub(exit.At)/time.Millisecond)
		h = p.Restarted(exit, h, at)
	}
	want := []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 100, 200}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("back-off in ms: got %d, want %d", got, want)
		}
	}
}

func TestRestartProperties(t *testing.T) {
	conditions := []string{"no", "always", "on-failure", "unless-stopped"}
	rapid.Check(t, func(t *rapid.T) {
		p := RestartPolicy{Condition: rapid.SampledFrom(conditions).Draw(t, "condition"),
			MaxAttempts: rapid.IntRange(0, 4).Draw(t, "max")}
		h := RestartHistory{Started: time.Unix(1_000_000, 0)}
		restarts := 0
		for range rapid.IntRange(1, 40).Draw(t, "exits") {
			ran := rapid.SampledFrom([]time.Duration{0, time.Second, 9 * time.Second, 10 * time.Second, time.Hour}).Draw(t, "ran")
			exit := runtime.Exit{Code: rapid.IntRange(0, 2).Draw(t, "code"), At: h.Started.Add(ran)}
			now := exit.At.Add(time.Duration(rapid.IntRange(-3600, 3600).Draw(t, "clock")) * time.Second)
			h.Stopped = rapid.IntRange(0, 9).Draw(t, "stopped") == 0
			ok, at := p.Next(exit, h, now)
			if ok && (h.Stopped || p.Condition == "no" || p.Condition == "on-failure" && exit.Code == 0) {
				t.Fatalf("%+v restarted %+v with %+v", p, exit, h)
			}
			if !ok {
				return
			}
			if at.Before(now) || at.After(now.Add(restartMost)) {
				t.Fatalf("restart at %v, now %v", at, now)
			}
			if restarts++; p.MaxAttempts > 0 && restarts > p.MaxAttempts {
				t.Fatalf("%d restarts, at most %d allowed", restarts, p.MaxAttempts)
			}
			h = p.Restarted(exit, h, at)
		}
	})
}
