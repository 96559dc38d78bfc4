package scheduler

import (
	"math"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// RolloutSettings are what a file says of how replicas are replaced.
type RolloutSettings struct {
	// Declared is set when it says anything.
	Declared        bool          `json:",omitempty"`
	Parallelism     *uint64       `json:",omitempty"`
	Delay           time.Duration `json:",omitempty"`
	Monitor         time.Duration `json:",omitempty"`
	MaxFailureRatio float64       `json:",omitempty"`
	Order           string        `json:",omitempty"`
	FailureAction   string        `json:",omitempty"`
}

// updateSettings are update_config.
func updateSettings(d *types.DeployConfig) RolloutSettings {
	if d == nil || d.UpdateConfig == nil {
		return RolloutSettings{}
	}
	return rolloutSettings(*d.UpdateConfig)
}

// rollbackSettings are rollback_config. Without one a return goes as fast and in the
// order that update_config says.
func rollbackSettings(d *types.DeployConfig) RolloutSettings {
	if d != nil && d.RollbackConfig != nil {
		return rolloutSettings(*d.RollbackConfig)
	}
	s := updateSettings(d)
	s.Delay, s.MaxFailureRatio, s.FailureAction = 0, 0, ""
	return s
}

func rolloutSettings(u types.UpdateConfig) RolloutSettings {
	return RolloutSettings{
		Declared: true, Parallelism: u.Parallelism, Delay: time.Duration(u.Delay), Monitor: time.Duration(u.Monitor),
		MaxFailureRatio: float64(u.MaxFailureRatio), Order: u.Order, FailureAction: u.FailureAction,
	}
}

// parallel is how many replicas are replaced at a time: one, unless the file says
// otherwise; there 0 means all.
func (s RolloutSettings) parallel() int {
	switch n := s.Parallelism; {
	case n == nil:
		return 1
	case *n == 0 || *n > math.MaxInt32:
		return math.MaxInt32
	default:
		return int(*n)
	}
}

// monitor is how long a fresh replica has to serve before it is proved. One without
// health check is given the time in which programs that cannot work say so.
func (s RolloutSettings) monitor(i *Instance) time.Duration {
	if i.Check.None() {
		return max(s.Monitor, earlyDeath)
	}
	return s.Monitor
}
