package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"stack/spec"
)

type configOptions struct {
	format, output, hash                                                         string
	services, images, volumes, networks, models, profiles                        bool
	environment, variables, quiet, check, all                                    bool
	noInterpolate, noNormalize, noPaths, noConsistency, noEnv, digests, lockOnly bool
}

func newConfig(a *app) *cobra.Command {
	o := &configOptions{}
	cmd := &cobra.Command{
		Use:     "config [SERVICE...]",
		Aliases: []string{"convert"},
		Short:   "Show the stack file as it is understood",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runConfig(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "", "yaml or json; with --check json or sarif")
	f.StringVarP(&o.output, "output", "o", "", "write to this file")
	f.StringVar(&o.hash, "hash", "", "configuration hashes of these services, or '*'")
	f.BoolVar(&o.services, "services", false, "only the services")
	f.BoolVar(&o.images, "images", false, "only the images")
	f.BoolVar(&o.volumes, "volumes", false, "only the volumes")
	f.BoolVar(&o.networks, "networks", false, "only the networks")
	f.BoolVar(&o.models, "models", false, "only the models")
	f.BoolVar(&o.profiles, "profiles", false, "only the profiles")
	f.BoolVar(&o.environment, "environment", false, "the environment that variables are taken from")
	f.BoolVar(&o.variables, "variables", false, "the variables that the file uses")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print nothing but what is wrong")
	f.BoolVar(&o.check, "check", false, "only look for what is wrong; exit 1 if anything is")
	f.BoolVar(&o.noInterpolate, "no-interpolate", false, "leave variables as they are")
	f.BoolVar(&o.noNormalize, "no-normalize", false, "leave defaults out")
	f.BoolVar(&o.noPaths, "no-path-resolution", false, "leave relative paths as they are")
	f.BoolVar(&o.noConsistency, "no-consistency", false, "do not check whether what is named exists")
	f.BoolVar(&o.noEnv, "no-env-resolution", false, "do not read env_file")
	f.BoolVar(&o.digests, "resolve-image-digests", false, "name images by digest")
	f.BoolVar(&o.lockOnly, "lock-image-digests", false, "only an override that names images by digest")
	return cmd
}

func runConfig(ctx context.Context, a *app, o *configOptions, services []string) error {
	if o.check {
		return runConfigCheck(ctx, a, o, services)
	}
	if o.format != "" {
		if err := oneOf("format", o.format, "yaml", "json"); err != nil {
			return err
		}
	}
	var out bytes.Buffer
	if err := o.write(ctx, a, &out, services); err != nil || o.quiet {
		return err
	}
	return o.deliver(a, out.Bytes())
}

// deliver writes to the file of --output, or to stdout.
func (o *configOptions) deliver(a *app, text []byte) error {
	if o.output != "" {
		if err := os.WriteFile(o.output, text, 0o644); err != nil {
			return fmt.Errorf("cannot write configuration: %w", err)
		}
		return nil
	}
	_, err := a.stdout.Write(text)
	return err
}

func (o *configOptions) specOptions(a *app) spec.Options {
	so := a.specOptions()
	so.NoInterpolate, so.NoNormalize, so.NoResolvePaths = o.noInterpolate, o.noNormalize, o.noPaths
	so.NoConsistency, so.NoEnvResolution = o.noConsistency, o.noEnv
	so.Unsupported, so.KeepProfiles = !o.check && !o.quiet, o.hash == ""
	return so
}

// write prints what the flags ask for.
func (o *configOptions) write(ctx context.Context, a *app, w io.Writer, services []string) error {
	so := o.specOptions(a)
	so.Services = services
	switch {
	case o.variables:
		return o.writeVariables(ctx, a, w, so)
	case o.noInterpolate:
		return o.writeModel(ctx, a, w, so)
	}
	st, err := spec.Load(ctx, so)
	if err != nil {
		return err
	}
	st.Warnings.Render(a.stderr, a.colors(a.stderr))
	o.all = a.all
	st.Project = o.needed(st.Project)
	switch {
	case o.lockOnly:
		return o.writeLock(ctx, a, w, st)
	case o.quiet:
		return nil
	case o.hash != "":
		return writeHashes(w, st, o.hash)
	case o.environment:
		return writeEnvironment(w, st)
	case o.profiles:
		return writeProfiles(w, st)
	case o.images:
		return writeImages(w, st)
	case o.services:
		return writeLines(w, st.ServiceNames())
	case o.volumes:
		return writeLines(w, st.VolumeNames())
	case o.networks:
		return writeLines(w, st.NetworkNames())
	case o.models:
		return writeModels(w, st)
	}
	if o.digests {
		if err := a.pinImages(ctx, st); err != nil {
			return err
		}
	}
	return o.writeStack(w, st)
}

// needed is the project as Docker Compose prints it: without what no service uses
// (but for --all-resources), and without the env files that the environment was read from. What a service can
// do without and a profile disables is left out too: nobody could read it back.
func (o *configOptions) needed(p *types.Project) *types.Project {
	if !o.all {
		p = p.WithoutUnnecessaryResources()
	}
	for name, s := range p.Services {
		maps.DeleteFunc(s.DependsOn, func(to string, d types.ServiceDependency) bool {
			_, enabled := p.Services[to]
			return !enabled && !d.Required
		})
		if len(s.DependsOn) == 0 {
			s.DependsOn = nil
		}
		if !o.noEnv {
			s.EnvFiles = nil
			for i := range s.PreStart {
				s.PreStart[i].EnvFiles = nil
			}
		}
		p.Services[name] = s
	}
	return p
}

// writeStack prints a document that Docker Compose reads back, without what
// secrets contain.
func (o *configOptions) writeStack(w io.Writer, st *spec.Stack) error {
	doc, err := document(st.Project)
	if err != nil {
		return fmt.Errorf("cannot write configuration: %w", err)
	}
	return o.print(w, doc)
}
