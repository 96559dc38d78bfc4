package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

// containerLifecycle are the verbs that ask something of containers by name.
func containerLifecycle(a *app) []*cobra.Command {
	stop := scheduler.Command{Verb: scheduler.VerbStop}
	restart := scheduler.Command{Verb: scheduler.VerbRestart}
	kill := scheduler.Command{Verb: scheduler.VerbKill}
	list := []*cobra.Command{
		containerVerb(a, "start CONTAINER...", "Start stopped containers", &scheduler.Command{Verb: scheduler.VerbStart}),
		containerVerb(a, "stop CONTAINER...", "Stop running containers", &stop),
		containerVerb(a, "restart CONTAINER...", "Restart containers", &restart),
		containerVerb(a, "kill CONTAINER...", "Send a signal to running containers", &kill),
		containerVerb(a, "pause CONTAINER...", "Freeze the processes of containers", &scheduler.Command{Verb: scheduler.VerbPause}),
		containerVerb(a, "unpause CONTAINER...", "Let frozen containers go on", &scheduler.Command{Verb: scheduler.VerbUnpause}),
	}
	timeoutFlag(list[1], &stop)
	timeoutFlag(list[2], &restart)
	list[3].Flags().StringVarP(&kill.Signal, "signal", "s", "SIGKILL", "the signal")
	return list
}

func containerVerb(a *app, use, short string, c *scheduler.Command) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.eachContainer(cmd.Context(), names, *c, func(found scheduler.Container, err error) error {
				if err != nil {
					return err
				}
				return refuses(c.Verb, found)
			})
		},
	}
}

// refuses says why a container's state does not allow a verb.
func refuses(verb scheduler.Verb, c scheduler.Container) error {
	status := c.Status()
	running := status == "running" || status == "paused"
	switch verb {
	case scheduler.VerbKill:
		if !running {
			return fmt.Errorf("cannot kill container %s: it is not running", c.Name)
		}
	case scheduler.VerbPause:
		if status != "running" {
			return fmt.Errorf("cannot pause container %s: it is %s", c.Name, status)
		}
	case scheduler.VerbUnpause:
		if status != "paused" {
			return fmt.Errorf("cannot unpause container %s: it is not paused", c.Name)
		}
	case scheduler.VerbStart:
		if status == "paused" {
			return fmt.Errorf("cannot start container %s: it is paused: unpause it", c.Name)
		}
	}
	return nil
}
