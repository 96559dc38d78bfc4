package scheduler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stack/runtime"
)

func TestConditions(t *testing.T) {
	began := testNow
	checked := func(change func(*Instance)) *Instance {
		i := &Instance{Check: Probe{Test: []string{"CMD", "true"}, Interval: time.Second, Timeout: time.Second, Retries: 1}}
		i.Obeyed(1, began)
		change(i)
		return i
	}
	probe := func(code int, after time.Duration) func(*Instance) {
		return func(i *Instance) {
			i.Probed(ProbeEntry{Start: began.Add(after), End: began.Add(after), ExitCode: code, Output: "says " + fmt.Sprint(code)})
		}
	}
	ill := checked(probe(1, 2*time.Second))
	for name, c := range map[string]struct {
		i    *Instance
		want string
	}{
		"created":  {&Instance{State: StateCreated, Created: began}, "Started:NotStarted@0s Ready:NotStarted@0s"},
		"failed":   {&Instance{State: StateCreated, Created: began, Error: "no such file"}, "Started:StartFailed@0s Ready:StartFailed@0s"},
		"running":  {&Instance{State: StateRunning, Started: began}, "Started@0s Ready@0s"},
		"starting": {checked(func(*Instance) {}), "Started@0s Healthy:Starting@0s Ready:Starting@0s"},
		"healthy":  {checked(probe(0, time.Second)), "Started@0s Healthy@1s Ready@1s"},
		"ill":      {ill, "Started@0s Healthy:Unhealthy@2s Ready:Unhealthy@2s"},
		"paused":   {&Instance{State: StatePaused, Started: began}, "Started@0s Ready:Paused@0s"},
		"stopping": {&Instance{State: StateStopping, Started: began}, "Started:Stopping@0s Ready:Stopping@0s"},
		"exited":   {&Instance{State: StateExited, Started: began, Finished: began.Add(time.Minute), Exit: &runtime.Exit{Code: 3}}, "Started:Exited@1m0s Ready:Exited@1m0s"},
	} {
		var got []string
		for _, k := range c.i.Conditions() {
			text := k.Type
			if !k.Status {
				text += ":" + k.Reason
			}
			if k.Status == (k.Message != "") {
				t.Errorf("%s: %s is %v and says %q", name, k.Type, k.Status, k.Message)
			}
			got = append(got, text+"@"+k.Since.Sub(began).String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if c := ill.Conditions()[2]; c.Message != "its check fails: says 1" {
		t.Errorf("an ill one is not ready as %q", c.Message)
	}
}
