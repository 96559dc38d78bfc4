package main

import (
	"context"
	"errors"
	"fmt"

	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"stack/runtime/native"
	"stack/runtime/native/ps"
)

func newContainerTop(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "top CONTAINER",
		Short: "List the processes of a running container",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runContainerTop(cmd.Context(), a, args[0])
		},
	}
}

func runContainerTop(ctx context.Context, a *app, name string) error {
	c, err := a.liveContainer(name)
	if err != nil {
		return err
	}
	t := &processTable{runtime: a.runtimes(c.Store, native.Options{}), now: time.Now()}
	if err := t.add(ctx, c.Instance); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(a.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, strings.Join(ps.Header(), "\t"))
	for _, row := range t.rows {
		fmt.Fprintln(tw, strings.Join(row[2:], "\t")) // without service and number
	}
	return tw.Flush()
}

func newContainerPort(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "port CONTAINER [PRIVATE_PORT[/PROTOCOL]]",
		Short: "Print the addresses that a container's ports are published at",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runContainerPort(cmd.Context(), a, args[0], strings.Join(args[1:], ""))
		},
	}
}

func runContainerPort(_ context.Context, a *app, name, private string) error {
	c, err := a.liveContainer(name)
	if err != nil {
		return err
	}
	if private == "" {
		for _, p := range c.Ports {
			address, err := publishedAt(c.Instance, p.Target, p.Protocol)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%d/%s -> %s\n", p.Target, p.Protocol, address)
		}
		return nil
	}
	number, protocol, ok := strings.Cut(private, "/")
	if !ok {
		protocol = "tcp"
	}
	target, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return fmt.Errorf("cannot read port %q: want a number up to 65535", private)
	}
	address, err := publishedAt(c.Instance, uint16(target), protocol)
	if err == nil {
		fmt.Fprintln(a.stdout, address)
	}
	return err
}

func newContainerWait(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "wait CONTAINER...",
		Short: "Wait until containers have ended and print their exit codes",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return runContainerWait(cmd.Context(), a, names)
		},
	}
}

func runContainerWait(ctx context.Context, a *app, names []string) error {
	found, err := a.findContainers(names)
	errs := []error{err}
	for _, c := range found {
		code, err := a.waitOne(ctx, c.Store, c.Instance)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(a.stdout, code)
	}
	return errors.Join(errs...)
}
