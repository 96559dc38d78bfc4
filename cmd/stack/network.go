package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"stack/netns"
	"stack/scheduler/inspect"
)

// newNetwork groups the verbs about the machine's networks.
func newNetwork(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "network", Short: "Look at, make and remove networks"}
	cmd.AddCommand(newNetworkLs(a), newNetworkCreate(a), newNetworkInspect(a), newNetworkRm(a))
	return cmd
}

func newNetworkInspect(a *app) *cobra.Command {
	return inspectVerb(a, "inspect NETWORK...", "Show all that is known of networks", inspectNetwork)
}

func inspectNetwork(_ context.Context, a *app, name string) (any, error) {
	host, err := a.openNetwork("")
	if err != nil {
		return nil, err
	}
	defer host.Close()
	n, err := host.Lookup(name)
	if err != nil {
		return nil, err
	}
	leases, err := host.Leases(n.ID)
	if err != nil {
		return nil, err
	}
	return inspect.NewNetwork(n, leases), nil
}

type networkLsOptions struct {
	quiet   bool
	noTrunc bool
	filter  []string
	format  string
}

func newNetworkLs(a *app) *cobra.Command {
	o := &networkLsOptions{}
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List networks of the machine",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runNetworkLs(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only IDs")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "full values (IDs are never cut)")
	f.StringArrayVarP(&o.filter, "filter", "f", nil, "id=…, name=…, label=…, driver=…, dangling=true|false")
	f.StringVar(&o.format, "format", "table", "table, json or a Go template")
	return cmd
}

// networkRow is a network in a listing, with Docker's keys.
type networkRow struct {
	Driver, ID, IPv4, IPv6, Internal, Labels, Name, Scope string
}

func runNetworkLs(_ context.Context, a *app, o *networkLsOptions) error {
	filter, err := parseFilters(o.filter, "id", "name", "label", "driver", "dangling")
	if err != nil {
		return err
	}
	host, err := a.openNetwork("")
	if err != nil {
		return err
	}
	defer host.Close()
	all, err := host.List()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(n netns.Network) bool { return !showsNetwork(host, n, filter) })
	if o.quiet {
		return printEach(a.stdout, all, func(n netns.Network) string { return n.ID })
	}
	rows := []networkRow{}
	for _, n := range all {
		rows = append(rows, networkRow{
			Driver: "bridge", ID: n.ID, IPv4: "true", IPv6: strconv.FormatBool(n.IPv6), Internal: strconv.FormatBool(n.Internal),
			Labels: labelText(n.Labels), Name: n.Name, Scope: "local",
		})
	}
	return printRows(a.stdout, o.format, rows, column{"NETWORK ID", "ID"}, column{"NAME", "Name"}, column{"DRIVER", "Driver"}, column{"SCOPE", "Scope"})
}

func showsNetwork(host *netns.Host, n netns.Network, f filters) bool {
	return f.any("id", func(id string) bool { return strings.HasPrefix(n.ID, id) }) &&
		f.any("name", func(part string) bool { return strings.Contains(n.Name, part) }) &&
		f.labelled(n.Labels) && f.is("driver", "bridge") &&
		f.any("dangling", func(want string) bool {
			leases, err := host.Leases(n.ID)
			return err == nil && (len(leases) == 0) == (want == "true" || want == "1")
		})
}
