package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"stack/scheduler"
	"stack/scheduler/api"
	"stack/spec"
)

type runOptions struct {
	ttyFlags
	cmd        scheduler.Command
	run        scheduler.RunOptions
	detach     bool
	env        []string
	envFiles   []string
	entrypoint string
	hasEntry   bool
	publish    []string
	volumes    []string
	labels     []string
	quiet      bool
	build      buildChoice
	pull       string
	quietPull  bool
}

func newRun(a *app) *cobra.Command {
	o := &runOptions{cmd: scheduler.Command{Verb: scheduler.VerbRun}}
	cmd := &cobra.Command{
		Use:   "run [OPTIONS] SERVICE [COMMAND] [ARGS...]",
		Short: "Run a command in a new container of a service",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.hasEntry = cmd.Flags().Changed("entrypoint")
			return runRun(cmd.Context(), a, o, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows the service is the program's
	f.SetNormalizeFunc(olderNames)
	o.ttyFlags.add(f)
	r := &o.run
	f.BoolVarP(&o.detach, "detach", "d", false, "print the container's name and do not wait")
	f.BoolVar(&r.Remove, "rm", false, "remove the container when it ends")
	f.StringArrayVarP(&o.env, "env", "e", nil, "KEY=VALUE, or KEY with the value it has here (repeatable)")
	f.StringArrayVar(&o.envFiles, "env-from-file", nil, "file of KEY=VALUE lines (repeatable)")
	f.StringVar(&o.entrypoint, "entrypoint", "", "replace the entrypoint")
	f.StringVar(&r.Name, "name", "", "name of the container")
	f.BoolVar(&o.cmd.NoDeps, "no-deps", false, "do not start what the service depends on")
	f.StringArrayVarP(&o.publish, "publish", "p", nil, "publish a port, [[IP:]HOST:]CONTAINER[/PROTOCOL] (repeatable)")
	f.BoolVarP(&r.ServicePorts, "service-ports", "P", false, "publish the service's ports")
	f.StringVarP(&r.User, "user", "u", "", "run as this user")
	f.BoolVar(&r.UseAliases, "use-aliases", false, "answer to the service's names on its networks")
	f.StringArrayVarP(&o.volumes, "volume", "v", nil, "mount SOURCE:TARGET[:MODE] (repeatable)")
	f.StringVarP(&r.WorkingDir, "workdir", "w", "", "working directory")
	f.StringArrayVarP(&o.labels, "label", "l", nil, "KEY=VALUE label (repeatable)")
	f.StringArrayVar(&r.CapAdd, "cap-add", nil, "add a capability (repeatable)")
	f.StringArrayVar(&r.CapDrop, "cap-drop", nil, "drop a capability (repeatable)")
	f.BoolVar(&o.cmd.RemoveOrphans, "remove-orphans", false, "remove containers of services not in the file")
	strictFlag(f, &o.cmd)
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress")
	f.BoolVar(&o.quietPull, "quiet-pull", false, "no pull progress")
	o.build.flags(cmd)
	f.StringVar(&o.pull, "pull", "policy", "always, missing, never, policy")
	return cmd
}

func runRun(ctx context.Context, a *app, o *runOptions, service string, args []string) error {
	st, err := a.loadFor(ctx, service)
	if err != nil {
		return err
	}
	if err := o.read(a, st, service, args); err != nil {
		return err
	}
	if o.cmd.Spec, err = spec.Encode(st); err != nil {
		return err
	}
	orphans(st, &o.cmd)
	if err := a.preflight(ctx, replaced(st, o.run.Apply(st.Services[service])), []string{service}, o.cmd); err != nil {
		return err
	}
	if o.quiet {
		a.progress = "quiet"
	}
	if err := a.ensureImages(ctx, st, []string{service}, o.cmd.NoDeps, o.pull, o.quiet || o.quietPull, o.build); err != nil {
		return err
	}
	o.cmd.Services, o.cmd.Run = []string{service}, &o.run
	s := a.storeOf(st.Name)
	made, err := a.create(ctx, s, o.cmd)
	switch {
	case err != nil:
		return a.giveUp(ctx, s, o, made, err)
	case o.detach:
		fmt.Fprintln(a.stdout, made.Name)
		return nil
	}
	d := &dialogue{
		a: a, store: s, instance: made, input: o.interactive, proxy: true,
		begin: func(ctx context.Context) error {
			err := a.send(ctx, s, scheduler.Command{Verb: scheduler.VerbRelease, Containers: []string{made.ID}}, quietly)
			if errors.Is(err, api.ErrLost) {
				return nil // it had arrived; the instance's record tells the rest
			}
			return err
		},
	}
	end, err := d.run(ctx)
	if err != nil {
		return a.giveUp(ctx, s, o, made, err)
	}
	if o.run.Remove && end != nil {
		if err := a.discard(ctx, s, made); err != nil {
			return err
		}
	}
	return code(end)
}
