package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"stack/runtime"
	"stack/runtime/native"
	"stack/scheduler"
)

type execOptions struct {
	ttyFlags
	detach     bool
	env        []string
	index      int
	privileged bool
	user       string
	workdir    string
}

func newExec(a *app) *cobra.Command {
	o := &execOptions{}
	cmd := &cobra.Command{
		Use:   "exec [OPTIONS] SERVICE COMMAND [ARGS...]",
		Short: "Run a program in a running container",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExec(cmd.Context(), a, o, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows the service is the program's
	f.SetNormalizeFunc(olderNames)
	o.ttyFlags.add(f)
	f.BoolVarP(&o.detach, "detach", "d", false, "do not wait for the program")
	f.StringArrayVarP(&o.env, "env", "e", nil, "KEY=VALUE for the program (repeatable)")
	f.IntVar(&o.index, "index", 0, "replica number")
	f.BoolVar(&o.privileged, "privileged", false, "with all capabilities")
	f.StringVarP(&o.user, "user", "u", "", "run as this user: NAME or UID, [:GROUP or :GID]")
	f.StringVarP(&o.workdir, "workdir", "w", "", "working directory")
	return cmd
}

// runExec makes the program this process's own child, so that it needs neither
// controller nor shim.
func runExec(ctx context.Context, a *app, o *execOptions, service string, args []string) error {
	s, i, err := a.running(ctx, service, o.index)
	if err != nil {
		return err
	}
	return execIn(ctx, a, o, s, i, args)
}

// execIn runs a program in one container.
func execIn(ctx context.Context, a *app, o *execOptions, s *scheduler.Store, i *scheduler.Instance, args []string) error {
	rt := a.runtimes(s, native.Options{})
	opt, err := o.read(ctx, s, rt, i)
	if err != nil {
		return err
	}
	opt.Args = args
	if !o.detach {
		if opt.Terminal, err = o.wanted(a); err != nil {
			return err
		}
		opt.Rows, opt.Columns = a.screenSize()
	}
	process, err := s.ExecProcess(i.ID, opt)
	if err != nil {
		return fmt.Errorf("cannot execute in container %s: %w", i.Name, err)
	}
	e := &execution{a: a, runtime: rt, instance: i, spec: runtime.Exec{Process: process}, input: o.interactive}
	ctx = context.WithoutCancel(ctx) // signals are the program's from here on
	switch {
	case o.detach:
		_, err := e.start(ctx)
		return err
	case opt.Terminal:
		return e.onTerminal(ctx)
	}
	return e.onPipes(ctx)
}
