package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

// newContainerExec is exec with Docker's flags: no input and no terminal unless
// asked for.
func newContainerExec(a *app) *cobra.Command {
	o := &execOptions{}
	cmd := &cobra.Command{
		Use:   "exec [OPTIONS] CONTAINER COMMAND [ARGS...]",
		Short: "Run a program in a running container",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runContainerExec(cmd.Context(), a, o, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows the container is the program's
	f.BoolVarP(&o.interactive, "interactive", "i", false, "keep standard input open")
	f.BoolVarP(&o.terminal, "tty", "t", false, "a terminal")
	f.BoolVarP(&o.detach, "detach", "d", false, "do not wait for the program")
	f.StringArrayVarP(&o.env, "env", "e", nil, "KEY=VALUE for the program (repeatable)")
	f.BoolVar(&o.privileged, "privileged", false, "with all capabilities")
	f.StringVarP(&o.user, "user", "u", "", "run as this user: NAME or UID, [:GROUP or :GID]")
	f.StringVarP(&o.workdir, "workdir", "w", "", "working directory")
	return cmd
}

func runContainerExec(ctx context.Context, a *app, o *execOptions, name string, args []string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	c, err := a.liveContainer(name)
	if err != nil {
		return err
	}
	o.noTerminal = !o.terminal
	return execIn(ctx, a, o, c.Store, c.Instance, args)
}

// findOne looks one container up.
func (a *app) findOne(name string) (scheduler.Container, error) {
	found, err := a.findContainers([]string{name})
	if err != nil {
		return scheduler.Container{}, err
	}
	return found[0], nil
}

// liveContainer is findOne for what needs processes.
func (a *app) liveContainer(name string) (scheduler.Container, error) {
	c, err := a.findOne(name)
	if err == nil && !live(c.Instance) {
		err = fmt.Errorf("container %s is not running", c.Name)
	}
	return c, err
}
