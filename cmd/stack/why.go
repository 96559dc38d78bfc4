package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
	"stack/scheduler/api"
)

// whyEvents is how many of a service's last events are shown.
const whyEvents = 10

func newWhy(a *app) *cobra.Command {
	format := "table"
	cmd := &cobra.Command{
		Use:   "why SERVICE",
		Short: "Tell why a service is in the state it is in",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWhy(cmd.Context(), a, args[0], format)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "table or json")
	return cmd
}

// reasons is what is known of a service: `why --format json` prints it.
type reasons struct {
	Service string
	// State is done, working, waiting or failed; Reason says what it waits for, what
	// failed, or which container stays ended.
	State, Reason string
	// Update tells of an update that did not simply succeed.
	Update string `json:",omitempty"`
	// Waits are what an edit of the live stack file would give it, which waits for
	// a person's consent.
	Waits      []string       `json:",omitempty"`
	Next       []scheduler.Op `json:",omitempty"`
	Containers []whyContainer
	Events     []scheduler.Event
}

type whyContainer struct {
	Name, State, Status, Health string
	// Error is why it could not be started or which hook failed.
	Error     string                 `json:",omitempty"`
	ExitCode  *int                   `json:",omitempty"` // of the last run
	OOMKilled bool                   `json:",omitempty"`
	Restarts  int                    `json:",omitempty"`
	NextStart time.Time              `json:",omitzero"`
	Probes    []scheduler.ProbeEntry `json:",omitempty"`
	Warnings  []string               `json:",omitempty"`
}

func runWhy(ctx context.Context, a *app, service, format string) error {
	s, list, err := a.current(ctx, []string{service})
	if err != nil {
		return err
	}
	p, err := lastPlan(ctx, s)
	if err != nil {
		return err
	}
	r := reasons{Service: service}
	r.stand(p)
	h, err := s.LoadHistory(service)
	if err != nil {
		return err
	}
	r.Update = h.Note()
	for _, i := range containersOf(list, service) {
		r.Containers = append(r.Containers, whyOf(i, time.Now()))
	}
	r.settled()
	events, err := s.Events()
	if err != nil {
		return err
	}
	for _, ev := range events {
		if ev.Service == service {
			r.Events = append(r.Events, ev)
		}
	}
	r.Events = r.Events[max(0, len(r.Events)-whyEvents):]
	switch format {
	case "json":
		return json.NewEncoder(a.stdout).Encode(r)
	case "table":
		return r.print(a.stdout)
	}
	return fmt.Errorf("unknown format %q: table or json", format)
}

// lastPlan is the controller's, or what the records say where none runs.
func lastPlan(ctx context.Context, s *scheduler.Store) (scheduler.Plan, error) {
	p, err := api.NewClient(s.RunDir()).Plan(ctx)
	if errors.Is(err, api.ErrGone) {
		return s.Standing(time.Now())
	}
	return p, err
}

// stand says where the service stands in a plan.
func (r *reasons) stand(p scheduler.Plan) {
	for _, op := range p.Ops {
		if op.Service == r.Service {
			r.Next = append(r.Next, op)
		}
	}
	for _, reason := range p.Consent {
		if reason.Service == r.Service || reason.Service == "" {
			r.Waits = append(r.Waits, reason.Text)
		}
	}
	switch s := p.Services[r.Service]; {
	case s.Failed != "":
		r.State, r.Reason = "failed", s.Failed
	case s.Waiting != "":
		r.State, r.Reason = "waiting", s.Waiting
	case s.Done || len(r.Next) == 0:
		r.State = "done"
	default:
		r.State = "working"
	}
}

// settled tells which container stays ended, where nothing is left to do although one
// failed.
func (r *reasons) settled() {
	if r.State != "done" {
		return
	}
	for _, c := range r.Containers {
		if c.State == "exited" && c.ExitCode != nil && *c.ExitCode != 0 {
			r.Reason = fmt.Sprintf("%s ended with exit code %d and is not started again", c.Name, *c.ExitCode)
		}
	}
}

func whyOf(i *scheduler.Instance, now time.Time) whyContainer {
	c := whyContainer{Name: i.Name, State: i.Status(), Status: i.StatusText(now), Health: string(i.Health),
		Error: i.Error, Restarts: i.Restarts, NextStart: i.NextStart, Warnings: i.Warnings}
	if c.Error == "" {
		c.Error = i.HookError
	}
	if i.Exit != nil {
		c.ExitCode, c.OOMKilled = &i.Exit.Code, i.Exit.OOMKilled
	}
	if i.Probe != nil {
		c.Probes = i.Probe.Log
	}
	return c
}
