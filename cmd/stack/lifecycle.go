package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stack/scheduler"
)

// The verbs that ask something of existing containers differ in little but their
// flags.

func newStart(a *app) *cobra.Command {
	c := scheduler.Command{Verb: scheduler.VerbStart}
	cmd := lifecycle(a, "start [SERVICE...]", "Start services", &c)
	cmd.Flags().BoolVar(&c.Wait, "wait", false, "wait until services are running or healthy")
	var seconds int
	cmd.Flags().IntVar(&seconds, "wait-timeout", 0, "seconds --wait waits at most")
	cmd.PreRun = func(*cobra.Command, []string) { c.WaitTimeout = time.Duration(seconds) * time.Second }
	return cmd
}

func newStop(a *app) *cobra.Command {
	c := scheduler.Command{Verb: scheduler.VerbStop}
	cmd := lifecycle(a, "stop [SERVICE...]", "Stop services", &c)
	timeoutFlag(cmd, &c)
	return cmd
}

func newRestart(a *app) *cobra.Command {
	c := scheduler.Command{Verb: scheduler.VerbRestart}
	cmd := lifecycle(a, "restart [SERVICE...]", "Restart services", &c)
	timeoutFlag(cmd, &c)
	cmd.Flags().BoolVar(&c.NoDeps, "no-deps", false, "leave dependent services alone")
	return cmd
}

func newKill(a *app) *cobra.Command {
	c := scheduler.Command{Verb: scheduler.VerbKill}
	cmd := lifecycle(a, "kill [SERVICE...]", "Send a signal to the containers of services", &c)
	f := cmd.Flags()
	f.StringVarP(&c.Signal, "signal", "s", "SIGKILL", "the signal")
	f.BoolVar(&c.RemoveOrphans, "remove-orphans", false, "remove containers of services not in the file")
	return cmd
}

func newPause(a *app) *cobra.Command {
	return lifecycle(a, "pause [SERVICE...]", "Freeze the processes of services", &scheduler.Command{Verb: scheduler.VerbPause})
}

func newUnpause(a *app) *cobra.Command {
	return lifecycle(a, "unpause [SERVICE...]", "Let frozen services go on", &scheduler.Command{Verb: scheduler.VerbUnpause})
}

func lifecycle(a *app, use, short string, c *scheduler.Command) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Services = args
			c.RemoveOrphans = c.RemoveOrphans || c.Verb == scheduler.VerbKill && a.turnedOn("COMPOSE_REMOVE_ORPHANS")
			return a.command(cmd.Context(), *c)
		},
	}
}

// command runs a command on the containers of a project that may be known only by
// its state. None of these commands makes a container.
func (a *app) command(ctx context.Context, c scheduler.Command) error {
	s, list, err := a.current(ctx, c.Services)
	if err != nil {
		return err
	}
	if c.Verb == scheduler.VerbStart {
		if err := startable(s, list, c.Services); err != nil {
			return err
		}
	}
	if c.Services = existing(list, c.Services); len(c.Services) == 0 {
		if c.Verb == scheduler.VerbKill {
			fmt.Fprintln(a.stderr, "no container to kill")
		}
		return nil
	}
	if a.dryRun {
		return a.foretellRecorded(ctx, s, c)
	}
	return a.do(ctx, s, c)
}

// existing are those of the services, or of all, that have a container.
func existing(list []*scheduler.Instance, services []string) []string {
	var out []string
	for _, i := range list {
		if !i.OneOff && (len(services) == 0 || slices.Contains(services, i.Service)) && !slices.Contains(out, i.Service) {
			out = append(out, i.Service)
		}
	}
	return out
}

// startable refuses to start what was never created: the services, or all, and what
// they depend on.
func startable(s *scheduler.Store, list []*scheduler.Instance, services []string) error {
	w, err := s.LoadWish()
	if err != nil {
		return err
	}
	if w.Stack == nil {
		if len(services) == 0 {
			return nil
		}
		return fmt.Errorf("service %q has no container to start", services[0])
	}
	g, err := scheduler.NewGraph(w.Stack.Project)
	if err != nil {
		return err
	}
	named := services
	if len(services) == 0 {
		services = slices.Sorted(maps.Keys(w.Services))
	}
	for _, name := range g.Closure(services...) {
		svc := w.Stack.Services[name]
		_, wished := w.Services[name]
		if !has(list, name) && svc.GetScale() > 0 && (wished || slices.Contains(named, name)) {
			return fmt.Errorf("service %q has no container to start", name)
		}
	}
	return nil
}

// strictFlag adds --strict.
func strictFlag(f *pflag.FlagSet, c *scheduler.Command) {
	f.BoolVar(&c.Strict, "strict", false, "fail rather than give up the user namespace of a service whose mounts cannot be id-mapped, or give less than its ulimits")
}

// timeoutFlag adds -t, seconds between the stop signal and the kill.
func timeoutFlag(cmd *cobra.Command, c *scheduler.Command) {
	var seconds int
	cmd.Flags().IntVarP(&seconds, "timeout", "t", 0, "seconds before containers are killed")
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("timeout") {
			d := time.Duration(seconds) * time.Second
			c.Timeout = &d
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
}
