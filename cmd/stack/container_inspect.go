package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"stack/netns"
	"stack/runtime"
	"stack/runtime/native"
	"stack/scheduler"
	"stack/scheduler/inspect"
)

func newContainerInspect(a *app) *cobra.Command {
	return inspectVerb(a, "inspect CONTAINER...", "Show all that is known of containers", inspectContainer)
}

// finder looks up one object to be inspected.
type finder func(ctx context.Context, a *app, name string) (any, error)

// inspectVerb prints objects; those that are found even if others are not.
func inspectVerb(a *app, use, short string, find finder) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return runInspect(cmd.Context(), a, format, names, find)
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", "json or a Go template")
	return cmd
}

func runInspect(ctx context.Context, a *app, format string, names []string, find finder) error {
	var found []any
	var errs []error
	for _, name := range names {
		v, err := find(ctx, a, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, v)
	}
	if err := printInspected(a.stdout, format, found); err != nil {
		return err
	}
	return errors.Join(errs...)
}

func inspectContainer(ctx context.Context, a *app, name string) (any, error) {
	found, err := a.findContainers([]string{name})
	if err != nil {
		return nil, err
	}
	f, err := a.containerFacts(ctx, found[0])
	if err != nil {
		return nil, err
	}
	return inspect.NewContainer(f), nil
}

// containerFacts gathers what the records, the runtime and the network know.
func (a *app) containerFacts(ctx context.Context, c scheduler.Container) (inspect.Facts, error) {
	f := inspect.Facts{
		Instance: c.Instance, Networks: map[string]netns.Network{},
		LogPath: c.Store.LogPath(c.ID), VolumeData: a.layout.VolumeData,
	}
	var err error
	if f.Details, err = c.Store.LoadDetails(c.ID); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("cannot inspect container %s: %w", c.Name, err)
	}
	st, err := a.runtimes(c.Store, native.Options{}).State(ctx, c.ID)
	if err != nil && !errors.Is(err, runtime.ErrNotFound) {
		return f, fmt.Errorf("cannot inspect container %s: %w", c.Name, err)
	}
	f.Pid = st.Pid
	host, err := a.openNetwork("")
	if err != nil {
		return f, err
	}
	defer host.Close()
	all, err := host.List()
	if err != nil {
		return f, err
	}
	for _, n := range all {
		f.Networks[n.ID] = n
	}
	f.Leases, err = host.Lease(c.ID)
	return f, err
}
