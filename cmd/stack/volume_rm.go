package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"stack/runtime/image"
	"stack/scheduler"
)

func newVolumeRm(a *app) *cobra.Command {
	return removeVerb(removal{
		use: "rm VOLUME...", short: "Remove volumes that no container uses",
		force: "ignore those that are not there", absent: errNoVolume,
		open: func(context.Context, bool) (func(string) error, error) {
			return func(name string) error { return a.say(name, a.removeVolume(name)) }, nil
		},
	})
}

// removeVolume removes a volume unless a container of any project mounts it.
func (a *app) removeVolume(name string) error {
	if _, err := a.volume(name); err != nil {
		return err
	}
	users, err := a.layout.VolumeInUse(name, time.Now())
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return fmt.Errorf("cannot remove volume %s: it is in use by %s", name, strings.Join(users, ", "))
	}
	if err := a.layout.RemoveVolume(name); err != nil {
		return fmt.Errorf("cannot remove volume %s: %w", name, err)
	}
	return nil
}

func newVolumePrune(a *app) *cobra.Command {
	o := &pruneOptions{}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove anonymous volumes that no container uses",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runVolumePrune(cmd.Context(), a, o)
		},
	}
	o.flags(cmd, "label=…")
	cmd.Flags().BoolVarP(&o.all, "all", "a", false, "also named volumes")
	return cmd
}

func runVolumePrune(_ context.Context, a *app, o *pruneOptions) error {
	filter, err := parseFilters(o.filter, "label")
	if err != nil {
		return err
	}
	if err := requireRoot(); err != nil {
		return err
	}
	what := "anonymous volumes not used by at least one container."
	if o.all {
		what = "all volumes not used by at least one container."
	}
	if !o.force && !a.confirm("This will remove "+what) {
		return nil
	}
	all, err := a.layout.ListVolumes()
	if err != nil {
		return err
	}
	users, err := a.layout.Containers(time.Now())
	if err != nil {
		return fmt.Errorf("cannot tell which volumes are in use: %w", err)
	}
	return pruneVolumes(a, all, func(v scheduler.Volume) bool {
		return (v.Anonymous || o.all) && filter.labelled(v.Labels) && len(scheduler.VolumeUsers(users, v.Name)) == 0
	})
}

func pruneVolumes(a *app, all []scheduler.Volume, unused func(scheduler.Volume) bool) error {
	var freed int64
	var errs []error
	for _, v := range all {
		if !unused(v) {
			continue
		}
		use, err := image.DiskUse(a.layout.VolumeData(v.Name))
		if err == nil {
			err = a.removeVolume(v.Name)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		freed += use
		fmt.Fprintln(a.stdout, v.Name)
	}
	fmt.Fprintf(a.stdout, "Total reclaimed space: %s\n", units.HumanSize(float64(freed)))
	return errors.Join(errs...)
}
