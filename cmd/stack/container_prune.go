package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

type pruneOptions struct {
	force, all bool
	filter     []string
}

func newContainerPrune(a *app) *cobra.Command {
	o := &pruneOptions{}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove all stopped containers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runContainerPrune(cmd.Context(), a, o)
		},
	}
	o.flags(cmd, "label=…")
	return cmd
}

func (o *pruneOptions) flags(cmd *cobra.Command, filters string) {
	cmd.Flags().BoolVarP(&o.force, "force", "f", false, "do not ask")
	cmd.Flags().StringArrayVar(&o.filter, "filter", nil, filters)
}

func runContainerPrune(ctx context.Context, a *app, o *pruneOptions) error {
	filter, err := parseFilters(o.filter, "label")
	if err != nil {
		return err
	}
	if !o.force && !a.confirm("This will remove all stopped containers.") {
		return nil
	}
	all, err := a.containers()
	if err != nil {
		return err
	}
	var ids []string
	for _, c := range all {
		if s := c.Status(); (s == "exited" || s == "created") && filter.labelled(c.Labels) {
			ids = append(ids, c.ID)
		}
	}
	cmd := scheduler.Command{Verb: scheduler.VerbRemove}
	return a.eachContainer(ctx, ids, cmd, func(_ scheduler.Container, err error) error { return err })
}

// confirm asks for a yes on standard input.
func (a *app) confirm(what string) bool {
	fmt.Fprintf(a.stderr, "WARNING! %s\nAre you sure you want to continue? [y/N] ", what)
	line, _ := bufio.NewReader(a.stdin).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}
