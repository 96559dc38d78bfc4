package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"stack/netns"
)

type networkRmOptions struct{ force bool }

func newNetworkRm(a *app) *cobra.Command {
	o := &networkRmOptions{}
	cmd := &cobra.Command{
		Use:     "rm NETWORK...",
		Aliases: []string{"remove"},
		Short:   "Remove networks that nobody uses",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return runNetworkRm(cmd.Context(), a, o, names)
		},
	}
	cmd.Flags().BoolVarP(&o.force, "force", "f", false, "ignore those that are not there")
	return cmd
}

func runNetworkRm(ctx context.Context, a *app, o *networkRmOptions, names []string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		err := a.removeNetwork(ctx, name)
		if errors.Is(err, netns.ErrNotFound) && o.force {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(a.stdout, name)
	}
	return errors.Join(errs...)
}

// removeNetwork removes a network of no project, or one whose project is not known
// any more. That of a project goes with its `down`: until then its controller
// would plug containers into it.
func (a *app) removeNetwork(ctx context.Context, name string) error {
	host, err := a.openNetwork("")
	if err != nil {
		return err
	}
	defer host.Close()
	n, err := host.Lookup(name)
	if err != nil {
		return err
	}
	projects, err := a.layout.Projects()
	if err != nil {
		return err
	}
	switch {
	case n.Project == "":
		return host.RemoveNetwork(ctx, n.Name)
	case slices.Contains(projects, n.Project):
		return fmt.Errorf("cannot remove network %s: it belongs to project %s; remove it with: stack -p %s down", n.Name, n.Project, n.Project)
	}
	owner, err := a.openNetwork(n.Project)
	if err != nil {
		return err
	}
	defer owner.Close()
	return owner.RemoveNetwork(ctx, n.Name)
}
