package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"stack/scheduler"
	"stack/spec"
)

type buildOptions struct {
	scheduler.BuildOptions
	args    []string
	ssh     []string
	push    bool
	quiet   bool
	deps    bool
	memory  string
	builder string
}

func newBuild(a *app) *cobra.Command {
	o := &buildOptions{}
	cmd := &cobra.Command{
		Use:   "build [OPTIONS] [SERVICE...]",
		Short: "Build the images of services",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBuild(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.NoCache, "no-cache", false, "build every step anew")
	f.BoolVar(&o.Pull, "pull", false, "ask registries for newer base images")
	f.StringArrayVar(&o.args, "build-arg", nil, "NAME=VALUE, or NAME as it is in the environment")
	f.StringArrayVar(&o.ssh, "ssh", nil, "agent for steps that ask for it: default, or ID=SOCKET or KEY")
	f.BoolVar(&o.push, "push", false, "push the images that have a name of a registry")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress")
	f.BoolVar(&o.deps, "with-dependencies", false, "also what the services depend on")
	f.BoolVar(&o.Check, "check", false, "only look for faults in the Dockerfiles")
	f.StringVar(&o.Provenance, "provenance", "", "attest how the images were built: true, false or mode=min|max")
	f.StringVar(&o.SBOM, "sbom", "", "attest what is in the images: true, false or generator=IMAGE")
	f.Lookup("provenance").NoOptDefVal, f.Lookup("sbom").NoOptDefVal = "true", "true"
	f.StringVarP(&o.memory, "memory", "m", "", "accepted for compatibility")
	f.StringVar(&o.builder, "builder", "", "accepted for compatibility: there is one builder")
	f.Bool("parallel", true, "accepted for compatibility: it always is")
	f.Bool("force-rm", true, "accepted for compatibility: containers of steps always go")
	f.Bool("no-rm", false, "accepted for compatibility")
	f.Bool("compress", false, "accepted for compatibility")
	for _, name := range []string{"memory", "builder", "parallel", "force-rm", "no-rm", "compress"} {
		f.MarkHidden(name)
	}
	return cmd
}

func runBuild(ctx context.Context, a *app, o *buildOptions, services []string) error {
	st, err := a.loadFor(ctx, services...)
	if err != nil {
		return err
	}
	if services, err = involved(st, services, !o.deps); err != nil {
		return err
	}
	if err := o.complete(st); err != nil {
		return err
	}
	built := buildable(st, services)
	if len(built) == 0 {
		fmt.Fprintln(a.stderr, "No services to build")
		return nil
	}
	if err := a.build(ctx, st, built, o.BuildOptions, o.quiet); err != nil || o.Check || !o.push {
		return err
	}
	return runPush(ctx, a, &pushOptions{quiet: o.quiet}, built)
}

// complete reads arguments and agents of the command line.
func (o *buildOptions) complete(st *spec.Stack) error {
	o.Args = map[string]string{}
	for _, arg := range o.args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			value, ok = st.Environment[name]
		}
		if ok {
			o.Args[name] = value
		}
	}
	for _, arg := range o.ssh {
		id, path, _ := strings.Cut(arg, "=")
		if id == "" {
			return fmt.Errorf("cannot read --ssh %q: want default or ID=PATH", arg)
		}
		o.SSH = append(o.SSH, types.SSHKey{ID: id, Path: path})
	}
	return nil
}

// buildable are the services that have something to build.
func buildable(st *spec.Stack, services []string) []string {
	var out []string
	for _, name := range services {
		if st.Services[name].Build != nil {
			out = append(out, name)
		}
	}
	return out
}

// build makes images; the output of their steps goes to standard output.
func (a *app) build(ctx context.Context, st *spec.Stack, services []string, o scheduler.BuildOptions, quiet bool) error {
	if err := requireRoot(); err != nil {
		return err
	}
	b := a.builder(quiet)
	ids, err := b.Build(ctx, st.Project, services, o)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	t := newImageTransfer(a, quiet)
	for _, name := range services {
		if ids[name] != "" {
			t.say(scheduler.ImageName(st.Name, st.Services[name]), "Built", "")
		}
	}
	return nil
}

func (a *app) builder(quiet bool) *scheduler.Builder {
	mode := a.progress
	if mode == "auto" {
		mode = cmp.Or(a.getenv("BUILDKIT_PROGRESS"), mode)
	}
	if quiet {
		mode = "quiet"
	}
	return &scheduler.Builder{
		Layout: a.layout, Version: version, Settings: a.settingsFile(), Credentials: a.credentialsFile(),
		Out: a.stdout, Progress: mode, Terminal: a.paintable(a.stdout),
	}
}

// buildQuietly is for the controller, whose errors alone are seen: they end with what
// the failed step said last.
func buildQuietly(a *app) func(ctx context.Context, p *types.Project, service string) error {
	b := a.builder(true)
	b.Out = io.Discard
	return func(ctx context.Context, p *types.Project, service string) error {
		_, err := b.Build(ctx, p, []string{service}, scheduler.BuildOptions{Native: true})
		return err
	}
}
