package scheduler

import "time"

const (
	// probeFirstGap follows the first early probe; each further gap doubles.
	probeFirstGap = 50 * time.Millisecond
	// probeLogLength and probeOutputLimit bound State.Health.Log, as in Docker.
	probeLogLength   = 5
	probeOutputLimit = 4096
)

// ProbeEntry is one probe that ran, an element of State.Health.Log.
type ProbeEntry struct {
	Start, End time.Time
	// ExitCode is the probe's; 0 is success. One that ran into its time-out has -1
	// and TimedOut.
	ExitCode int
	TimedOut bool   `json:",omitempty"`
	Output   string // at most 4096 bytes
}

// ProbeState is the health of one run of a replica. It starts anew with each
// start of the program and can be stored as JSON between two probes.
//
// Two schedules share one series of probes. The scheduled probes are Docker's:
// the first after interval (start_interval during start_period), each further
// one the same time after the end of the one before. Only these can count
// against the replica, by Docker's rules, so that it is never called unhealthy
// sooner than Docker would. Until it is first healthy early probes run in
// between, the first at once, then with growing gaps; of these only a success
// counts. An early probe is cut short when a scheduled one is due.
//
//	             any success                  Retries scheduled failures in a row
//	starting ─────────────────▶ healthy ─────────────────────────▶ unhealthy
//	    │                          ▲                                    │ │
//	    │                          └──────────── any success ───────────┘ │
//	    └───────────────────── the same failures, past StartPeriod ──────▶┘
type ProbeState struct {
	Probe   Probe
	Started time.Time
	Status  Health
	// Since is when Status became what it is.
	Since time.Time `json:",omitzero"`
	// FailingStreak counts scheduled failures since the last success.
	FailingStreak int
	// Log holds the last five results, oldest first.
	Log []ProbeEntry `json:",omitempty"`
	// Due is when the next scheduled probe starts; Next the next of any sort.
	Due, Next time.Time
	// Early is when the next early probe may start, Gap the pause after it.
	Early time.Time
	Gap   time.Duration
	// Settled is set once a scheduled probe succeeded: from then on the start
	// period no longer excuses failures. An early success does not end it, or
	// failures would count that Docker forgives.
	Settled bool
}

// NewProbeState begins the probes of a program started at the given time.
func NewProbeState(p Probe, started time.Time) *ProbeState {
	s := &ProbeState{Probe: p, Started: started, Status: HealthNone, Since: started}
	if p.None() {
		return s
	}
	s.Status = HealthStarting
	s.Gap = probeFirstGap
	s.Early, s.Next = started, started
	s.schedule(started)
	return s
}

// NextAt is when the next probe starts; the zero time without a check.
func (s *ProbeState) NextAt() time.Time { return s.Next }

// TimeoutAt is how long a probe that starts now may take.
func (s *ProbeState) TimeoutAt(now time.Time) time.Duration {
	if left := s.Due.Sub(now); left > 0 && left < s.Probe.Timeout {
		return left
	}
	return s.Probe.Timeout
}

// Result records a probe that ended and plans the next. It reports whether the
// status changed.
func (s *ProbeState) Result(r ProbeEntry) (changed bool) {
	if s.Probe.None() {
		return false
	}
	before := s.Status
	scheduled := !r.Start.Before(s.Due)
	s.log(r, scheduled)
	switch {
	case r.ExitCode == 0:
		s.succeed(scheduled)
	case scheduled:
		s.fail(r.Start)
	}
	if scheduled {
		s.schedule(r.End)
	}
	s.plan(r, scheduled)
	if s.Status != before {
		s.Since = r.End
	}
	return s.Status != before
}

func (s *ProbeState) succeed(scheduled bool) {
	s.FailingStreak = 0
	s.Status = HealthHealthy
	s.Settled = s.Settled || scheduled
}

func (s *ProbeState) fail(start time.Time) {
	if !s.Settled && start.Sub(s.Started) < s.Probe.StartPeriod {
		return
	}
	if s.FailingStreak++; s.FailingStreak >= s.Probe.Retries {
		s.Status = HealthUnhealthy
	}
}

// schedule sets when the next scheduled probe starts, seen from the end of the
// last one.
func (s *ProbeState) schedule(end time.Time) {
	interval := s.Probe.Interval
	if !s.Settled && end.Sub(s.Started) < s.Probe.StartPeriod {
		interval = s.Probe.StartInterval
	}
	s.Due = end.Add(interval)
}

// plan sets when the next probe of any sort starts. The pause after an early one
// is never shorter than it took, so that probes use at most half of a processor.
func (s *ProbeState) plan(r ProbeEntry, scheduled bool) {
	s.Next = s.Due
	if s.Status != HealthStarting {
		return
	}
	if !scheduled || s.Early.Before(r.End) {
		s.Early = r.End.Add(max(s.Gap, r.End.Sub(r.Start)))
		s.Gap = min(2*s.Gap, s.Probe.Interval)
	}
	// One that would be cut short at once is not worth starting.
	if s.Early.Add(probeFirstGap).Before(s.Due) {
		s.Next = s.Early
	}
}

func (s *ProbeState) log(r ProbeEntry, scheduled bool) {
	if r.TimedOut && !scheduled && !r.End.Before(s.Due) {
		return // cut short by the schedule, which says nothing of the replica
	}
	if len(r.Output) > probeOutputLimit {
		r.Output = r.Output[:probeOutputLimit]
	}
	// A new slice: others may still read the old one.
	kept := s.Log[max(0, len(s.Log)-probeLogLength+1):]
	s.Log = append(append(make([]ProbeEntry, 0, probeLogLength), kept...), r)
}
