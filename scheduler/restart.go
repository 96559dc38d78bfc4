package scheduler

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime"
)

const (
	restartFirst = 100 * time.Millisecond
	restartMost  = time.Minute
	// restartSettled is how long a replica must run for its back-off to start
	// over, as in Docker.
	restartSettled = 10 * time.Second
)

// RestartPolicy says what follows the end of a replica's program.
type RestartPolicy struct {
	// Condition is no, always, on-failure or unless-stopped.
	Condition string
	// MaxAttempts is the number of restarts before giving up; 0 is no limit.
	MaxAttempts int
	// Delay before each restart; 0 backs off exponentially.
	Delay time.Duration
	// Window is how long a restarted replica must run for its restart not to
	// count towards MaxAttempts; 0 counts every one.
	Window time.Duration
}

// RestartHistory is what a policy needs to know of a replica's past.
type RestartHistory struct {
	// Started is when the run that just ended began.
	Started time.Time `json:",omitzero"`
	// Stopped is set when a person asked for the end: no policy restarts that.
	Stopped bool `json:",omitempty"`
	// Attempts is the number of restarts that count towards MaxAttempts.
	Attempts int `json:",omitempty"`
	// Quick is the number of restarts since a run lasted 10 s; it drives the
	// back-off.
	Quick int `json:",omitempty"`
}

// ParseRestart reads a service's policy. deploy.restart_policy takes precedence
// over restart, as in Docker Compose; neither means no. The replicas of a service
// whose deploy.mode is a job's run until they succeed, unless it says never.
func ParseRestart(s types.ServiceConfig) RestartPolicy {
	p := declaredRestart(s)
	if s.Deploy == nil || !strings.HasSuffix(s.Deploy.Mode, "-job") {
		return p
	}
	if said := s.Deploy.RestartPolicy != nil || s.Restart != ""; !said || p.Condition != types.RestartPolicyNo {
		p.Condition = types.RestartPolicyOnFailure
	}
	return p
}

func declaredRestart(s types.ServiceConfig) RestartPolicy {
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		return deployRestart(*s.Deploy.RestartPolicy)
	}
	name, attempts, _ := strings.Cut(s.Restart, ":")
	p := RestartPolicy{Condition: cmp.Or(name, types.RestartPolicyNo)}
	if name == types.RestartPolicyOnFailure {
		// A count that is no number is spec's to refuse.
		p.MaxAttempts, _ = strconv.Atoi(attempts)
	}
	return p
}

func deployRestart(r types.RestartPolicy) RestartPolicy {
	p := RestartPolicy{Condition: r.Condition}
	switch r.Condition {
	case "", "any":
		p.Condition = types.RestartPolicyAlways
	case "none":
		p.Condition = types.RestartPolicyNo
	}
	if r.MaxAttempts != nil {
		p.MaxAttempts = int(*r.MaxAttempts)
	}
	if r.Delay != nil {
		p.Delay = time.Duration(*r.Delay)
	}
	if r.Window != nil {
		p.Window = time.Duration(*r.Window)
	}
	return p
}

// Next says whether a replica that ended is to be started again, and when: not
// before now, and not later than now plus its delay even if the clock was set
// back meanwhile.
func (p RestartPolicy) Next(exit runtime.Exit, h RestartHistory, now time.Time) (bool, time.Time) {
	h = p.settle(exit, h)
	if h.Stopped || !p.wants(exit) || p.MaxAttempts > 0 && h.Attempts >= p.MaxAttempts {
		return false, time.Time{}
	}
	delay := p.delay(h.Quick)
	at := exit.At.Add(delay)
	if at.Before(now) {
		return true, now
	}
	if latest := now.Add(delay); at.After(latest) {
		return true, latest
	}
	return true, at
}

// Restarted is the history, as it was given to Next, once the restart that Next
// granted for at is decided.
func (p RestartPolicy) Restarted(exit runtime.Exit, h RestartHistory, at time.Time) RestartHistory {
	h = p.settle(exit, h)
	h.Attempts++
	h.Quick++
	h.Started = at
	return h
}

func (p RestartPolicy) wants(exit runtime.Exit) bool {
	switch p.Condition {
	case types.RestartPolicyAlways, types.RestartPolicyUnlessStopped:
		return true
	case types.RestartPolicyOnFailure:
		return exit.Unknown || exit.Code != 0
	}
	return false
}

// settle forgets what a long enough run has made good.
func (p RestartPolicy) settle(exit runtime.Exit, h RestartHistory) RestartHistory {
	ran := exit.At.Sub(h.Started)
	if ran >= restartSettled {
		h.Quick = 0
	}
	if p.Window > 0 && ran >= p.Window {
		h.Attempts = 0
	}
	return h
}

func (p RestartPolicy) delay(quick int) time.Duration {
	if p.Delay > 0 {
		return p.Delay
	}
	d := restartFirst
	for range quick {
		if d *= 2; d >= restartMost {
			return restartMost
		}
	}
	return d
}
