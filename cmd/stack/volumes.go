package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

type volumesOptions struct {
	format string
	quiet  bool
}

func newVolumes(a *app) *cobra.Command {
	o := &volumesOptions{}
	cmd := &cobra.Command{
		Use:   "volumes [SERVICE...]",
		Short: "List the project's volumes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runProjectVolumes(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "table", "table, json or a Go template")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only names")
	return cmd
}

func runProjectVolumes(ctx context.Context, a *app, o *volumesOptions, services []string) error {
	s, err := a.storeWith(ctx, services)
	if err != nil {
		return err
	}
	all, err := a.layout.ListVolumes()
	if err != nil {
		return err
	}
	list, err := s.Current(time.Now())
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(v scheduler.Volume) bool {
		if len(services) == 0 && v.Project == s.Project {
			return false
		}
		return !slices.ContainsFunc(list, func(i *scheduler.Instance) bool {
			wanted := len(services) == 0 || slices.Contains(services, i.Service)
			return wanted && scheduler.Container{Instance: i, Store: s}.UsesVolume(v.Name)
		})
	})
	return printVolumes(a, all, o.format, o.quiet)
}

// volumeRow is a volume in a listing.
type volumeRow struct {
	Availability, Driver, Group, Labels, Links, Mountpoint, Name, Scope, Size, Status string
}

func printVolumes(a *app, all []scheduler.Volume, format string, quiet bool) error {
	if quiet {
		return printEach(a.stdout, all, func(v scheduler.Volume) string { return v.Name })
	}
	rows := []volumeRow{}
	for _, v := range all {
		rows = append(rows, volumeRow{
			Availability: "N/A", Driver: "local", Group: "N/A", Labels: labelText(v.Labels), Links: "N/A",
			Mountpoint: a.layout.VolumeData(v.Name), Name: v.Name, Scope: "local", Size: "N/A", Status: "N/A",
		})
	}
	return printRows(a.stdout, format, rows, column{"DRIVER", "Driver"}, column{"VOLUME NAME", "Name"})
}
