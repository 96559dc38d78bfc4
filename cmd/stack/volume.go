package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stack/scheduler"
	"stack/scheduler/inspect"
)

// newVolume groups the verbs about the machine's volumes.
func newVolume(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "volume", Short: "Look at, make and remove volumes"}
	cmd.AddCommand(newVolumeLs(a), newVolumeCreate(a), newVolumeInspect(a), newVolumeRm(a), newVolumePrune(a))
	return cmd
}

func newVolumeInspect(a *app) *cobra.Command {
	return inspectVerb(a, "inspect VOLUME...", "Show all that is known of volumes", inspectVolume)
}

func inspectVolume(_ context.Context, a *app, name string) (any, error) {
	v, err := a.volume(name)
	if err != nil {
		return nil, err
	}
	return inspect.NewVolume(v, a.layout.VolumeData(v.Name)), nil
}

var errNoVolume = errors.New("no such volume")

// volume finds a volume by name. Errors: errNoVolume.
func (a *app) volume(name string) (scheduler.Volume, error) {
	if scheduler.CheckName("volume", name) != nil { // it would become part of a path
		return scheduler.Volume{}, fmt.Errorf("%w: %s", errNoVolume, name)
	}
	v, err := a.layout.LoadVolume(name)
	if errors.Is(err, fs.ErrNotExist) {
		return v, fmt.Errorf("%w: %s", errNoVolume, name)
	}
	return v, err
}

type volumeLsOptions struct {
	quiet  bool
	filter []string
	format string
}

func newVolumeLs(a *app) *cobra.Command {
	o := &volumeLsOptions{}
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List volumes of the machine",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runVolumeLs(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only names")
	f.StringArrayVarP(&o.filter, "filter", "f", nil, "name=…, label=…, driver=…, dangling=true|false")
	f.StringVar(&o.format, "format", "table", "table, json or a Go template")
	return cmd
}

func runVolumeLs(_ context.Context, a *app, o *volumeLsOptions) error {
	filter, err := parseFilters(o.filter, "name", "label", "driver", "dangling")
	if err != nil {
		return err
	}
	all, err := a.layout.ListVolumes()
	if err != nil {
		return err
	}
	users, err := a.containers()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(v scheduler.Volume) bool {
		shown := filter.any("name", func(part string) bool { return strings.Contains(v.Name, part) }) &&
			filter.labelled(v.Labels) && filter.is("driver", "local") &&
			filter.any("dangling", func(want string) bool {
				return (len(scheduler.VolumeUsers(users, v.Name)) == 0) == (want == "true" || want == "1")
			})
		return !shown
	})
	return printVolumes(a, all, o.format, o.quiet)
}
