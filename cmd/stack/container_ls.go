package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

type containerLsOptions struct {
	all, quiet, noTrunc, latest bool
	last                        int
	filter                      []string
	format                      string
}

func newContainerLs(a *app) *cobra.Command {
	o := &containerLsOptions{}
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list", "ps"},
		Short:   "List containers of all projects",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runContainerLs(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "also those that do not run")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only IDs")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "full values")
	f.BoolVarP(&o.latest, "latest", "l", false, "the newest one, in any state")
	f.IntVarP(&o.last, "last", "n", -1, "the newest N, in any state")
	f.StringArrayVarP(&o.filter, "filter", "f", nil, strings.Join(containerFilters(), "=…, ")+"=…")
	f.StringVar(&o.format, "format", "table", "table, json or a Go template")
	return cmd
}

func containerFilters() []string {
	return []string{"id", "name", "label", "status", "exited", "health", "ancestor", "network", "volume"}
}

func runContainerLs(_ context.Context, a *app, o *containerLsOptions) error {
	filter, err := parseFilters(o.filter, containerFilters()...)
	if err != nil {
		return err
	}
	all, err := a.containers()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(c scheduler.Container) bool { return !o.shows(c, filter) })
	if o.latest {
		o.last = 1
	}
	slices.SortStableFunc(all, func(a, b scheduler.Container) int { return b.Created.Compare(a.Created) })
	if o.last > 0 && len(all) > o.last {
		all = all[:o.last]
	}
	if o.quiet {
		for _, c := range all {
			fmt.Fprintln(a.stdout, o.id(c.ID))
		}
		return nil
	}
	rows := []containerRow{}
	for _, c := range all {
		rows = append(rows, o.row(c))
	}
	return printRows(a.stdout, o.format, rows, column{"CONTAINER ID", "ID"}, column{"IMAGE", "Image"},
		column{"COMMAND", "Command"}, column{"CREATED", "RunningFor"}, column{"STATUS", "Status"}, column{"PORTS", "Ports"},
		column{"NAMES", "Names"})
}

// shows reports whether a container is listed; a filter by status finds it in any.
func (o *containerLsOptions) shows(c scheduler.Container, f filters) bool {
	status := c.Status()
	if !o.all && !o.latest && o.last < 0 && len(f["status"]) == 0 && len(f["exited"]) == 0 && status != "running" && status != "paused" && status != "restarting" {
		return false
	}
	code := ""
	if c.Exit != nil {
		code = strconv.Itoa(c.Exit.Code)
	}
	health := string(c.Health)
	if health == "" {
		health = string(scheduler.HealthNone)
	}
	d := containerDetails(c)
	return f.any("id", func(id string) bool { return strings.HasPrefix(c.ID, id) }) &&
		f.named("name", c.Name) && f.labelled(c.Labels) && f.is("status", status) && f.is("exited", code) && f.is("health", health) &&
		f.any("ancestor", func(ref string) bool {
			return ref == c.Image || ref == c.Digest || len(ref) > 3 && strings.HasPrefix(shortID(c.Digest), ref)
		}) &&
		f.any("network", func(n string) bool { return slices.Contains(d.Networks, n) }) &&
		f.any("volume", c.UsesVolume)
}

// containerDetails is what is recorded beside the instance; zero if nothing is.
func containerDetails(c scheduler.Container) scheduler.Details {
	d, err := c.Store.LoadDetails(c.ID)
	if err != nil {
		return scheduler.Details{}
	}
	return d
}

func (o *containerLsOptions) id(id string) string {
	if o.noTrunc {
		return id
	}
	return shortID(id)
}

// containerRow is a container in a listing, with Docker's keys.
type containerRow struct {
	Command, CreatedAt, ID, Image, Labels, LocalVolumes, Mounts, Names, Networks, Ports, RunningFor, Size, State, Status string
}

func (o *containerLsOptions) row(c scheduler.Container) containerRow {
	command, d, now := strings.Join(c.Command, " "), containerDetails(c), time.Now()
	if r := []rune(command); !o.noTrunc && len(r) > 20 {
		command = string(r[:19]) + "…"
	}
	r := containerRow{
		Command: strconv.Quote(command), CreatedAt: dockerTime(c.Created), ID: o.id(c.ID), Image: c.Image, Labels: labelText(c.Labels),
		Names: c.Name, Networks: strings.Join(d.Networks, ","), RunningFor: ago(now.Sub(c.Created)) + " ago",
		Size: "N/A", State: c.Status(), Status: c.StatusText(now), LocalVolumes: strconv.Itoa(len(c.Volumes)),
	}
	if r.State == "running" || r.State == "paused" {
		r.Ports = portsText(c.Instance)
	}
	var mounts []string
	for _, m := range d.Mounts {
		if m.Source != "" {
			mounts = append(mounts, m.Source)
		}
	}
	r.Mounts = strings.Join(mounts, ",")
	return r
}
