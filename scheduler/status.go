package scheduler

import (
	"fmt"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/shim"
	"stack/spec"
)

// Status is the instance's state in Docker's words: created, running, paused,
// restarting, exited. A stopping one still runs.
func (i *Instance) Status() string {
	if i.State == StateStopping {
		return string(StateRunning)
	}
	return string(i.State)
}

// StatusText is what `ps` shows: "Up 3 minutes (healthy)", "Exited (1) 2 hours ago".
func (i *Instance) StatusText(now time.Time) string {
	switch i.State {
	case StateRunning, StateStopping:
		s := "Up " + HumanDuration(now.Sub(i.Started))
		if i.Health == HealthStarting {
			return s + " (health: starting)"
		}
		if i.Health != "" && i.Health != HealthNone {
			s += " (" + string(i.Health) + ")"
		}
		return s
	case StatePaused:
		return "Up " + HumanDuration(now.Sub(i.Started)) + " (Paused)"
	case StateRestarting:
		return fmt.Sprintf("Restarting (%s) %s ago", i.code(), HumanDuration(now.Sub(i.Finished)))
	case StateExited:
		return fmt.Sprintf("Exited (%s) %s ago", i.code(), HumanDuration(now.Sub(i.Finished)))
	}
	if i.Error != "" {
		return "Created (failed to start)"
	}
	return "Created"
}

// code is the exit code as text, with what is known of the reason.
func (i *Instance) code() string {
	switch {
	case i.Exit == nil:
		return "0"
	case i.Exit.Unknown:
		return "unknown"
	case i.Exit.OOMKilled:
		return fmt.Sprintf("%d, out of memory", i.Exit.Code)
	}
	return fmt.Sprint(i.Exit.Code)
}

// HumanDuration is a duration in one unit, as Docker prints it.
func HumanDuration(d time.Duration) string {
	switch s := int(d.Seconds()); {
	case s < 1:
		return "Less than a second"
	case s == 1:
		return "1 second"
	case s < 60:
		return fmt.Sprintf("%d seconds", s)
	case s < 120:
		return "About a minute"
	case s < 60*60:
		return fmt.Sprintf("%d minutes", s/60)
	case s < 2*60*60:
		return "About an hour"
	case s < 48*60*60:
		return fmt.Sprintf("%d hours", s/3600)
	case s < 14*24*60*60:
		return fmt.Sprintf("%d days", s/86400)
	case s < 60*24*60*60:
		return fmt.Sprintf("%d weeks", s/(7*86400))
	}
	if days := int(d.Hours() / 24); days >= 2*365 {
		return fmt.Sprintf("%d years", days/365)
	}
	return fmt.Sprintf("%d months", int(d.Hours()/24/30))
}

// Recorded is the stack of the last command; one without services where none is
// recorded, or cannot be read.
func (s *Store) Recorded() *spec.Stack {
	if w, err := s.LoadWish(); err == nil && w.Stack != nil {
		return w.Stack
	}
	return &spec.Stack{Project: &types.Project{}}
}

// Current returns the recorded instances, corrected by the exit records that no
// controller has taken in yet, so that the truth is told with the controller dead.
func (s *Store) Current(now time.Time) ([]*Instance, error) {
	all, err := s.Instances()
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		var rec shim.ExitRecord
		if i.live() && readJSON(s.ExitPath(i.ID), &rec) == nil {
			i.Exited(rec.Exit, RestartPolicy{}, now)
		}
	}
	return all, nil
}
