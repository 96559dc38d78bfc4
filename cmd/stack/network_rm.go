package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"stack/netns"
)

func newNetworkRm(a *app) *cobra.Command {
	return removeVerb(removal{
		use: "rm NETWORK...", short: "Remove networks that nobody uses",
		force: "ignore those that are not there", absent: netns.ErrNotFound,
		open: func(ctx context.Context, _ bool) (func(string) error, error) {
			return func(name string) error { return a.say(name, a.removeNetwork(ctx, name)) }, nil
		},
	})
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
