package scheduler

import (
	"fmt"
	"time"
)

// InstanceCondition is one thing that is so of a container, or is not; in the manner of
// Kubernetes: since when, and why not.
type InstanceCondition struct {
	Type   string // Started, Healthy or Ready
	Status bool
	// Since is when it became so, as far as that is known.
	Since time.Time `json:",omitzero"`
	// Reason is one word, Message a sentence; both empty where Status is true.
	Reason  string `json:",omitempty"`
	Message string `json:",omitempty"`
}

// Readiness reports whether new connections go to the instance, and if not, why: one
// word and a sentence. The only replica of a service is led to all the same.
func (i *Instance) Readiness() (bool, InstanceCondition) {
	c := InstanceCondition{Type: "Ready", Since: i.Started}
	if i.fitness(false) == ready {
		c.Status = true
		if i.Probe != nil {
			c.Since = i.Probe.Since
		}
		return true, c
	}
	switch {
	case i.Health == HealthStarting || i.Health == HealthUnhealthy:
		h := i.healthy()
		c.Since, c.Reason, c.Message = h.Since, h.Reason, h.Message
	case i.State == StatePaused:
		c.Reason, c.Message = "Paused", "it is paused"
	default:
		s := i.started()
		c.Since, c.Reason, c.Message = s.Since, s.Reason, s.Message
	}
	return false, c
}

// Conditions are Started, Healthy where the instance is checked, and Ready.
func (i *Instance) Conditions() []InstanceCondition {
	out := []InstanceCondition{i.started()}
	if i.Probe != nil {
		out = append(out, i.healthy())
	}
	_, r := i.Readiness()
	return append(out, r)
}

// started tells whether it runs.
func (i *Instance) started() InstanceCondition {
	c := InstanceCondition{Type: "Started", Since: i.Started}
	switch i.State {
	case StateRunning, StatePaused:
		c.Status = true
	case StateStopping:
		c.Reason, c.Message = "Stopping", "it was told to stop"
	case StateRestarting:
		c.Since, c.Reason, c.Message = i.Finished, "Restarting", fmt.Sprintf("it ended with %s and starts again at %s", i.code(), i.NextStart.Format(time.RFC3339))
	case StateExited:
		c.Since, c.Reason, c.Message = i.Finished, "Exited", "it ended with "+i.code()
	default:
		c.Since, c.Reason, c.Message = i.Created, "NotStarted", "it has not been started"
	}
	if !c.Status && i.Error != "" {
		c.Reason, c.Message = "StartFailed", i.Error
	}
	return c
}

func (i *Instance) healthy() InstanceCondition {
	c := InstanceCondition{Type: "Healthy", Status: i.Health == HealthHealthy}
	if i.Probe != nil {
		c.Since = i.Probe.Since
	}
	switch i.Health {
	case HealthHealthy:
	case HealthStarting:
		c.Reason, c.Message = "Starting", "no check has succeeded yet"+lastProbe(i)
	case HealthUnhealthy:
		c.Reason, c.Message = "Unhealthy", "its check fails"+lastProbe(i)
	default:
		c.Reason, c.Message = "NotRunning", "it does not run"
	}
	return c
}
