package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

// The verbs that ask something of existing containers differ in little but their
// flags.

func newStart(a *app) *cobra.Command {
	c := scheduler.Command{Verb: scheduler.VerbStart}
	cmd := lifecycle(a, "start [SERVICE...]", "Start services", &c)
	f := cmd.Flags()
	f.BoolVar(&c.Wait, "wait", false, "wait until services are running or healthy")
	f.DurationVar(&c.WaitTimeout, "wait-timeout", 0, "how long --wait waits")
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
			return a.command(cmd.Context(), *c)
		},
	}
}

// command runs a command on a project that may be known only by its state.
func (a *app) command(ctx context.Context, c scheduler.Command) error {
	s, err := a.store(ctx)
	if err != nil {
		return err
	}
	return a.do(ctx, s, c)
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
