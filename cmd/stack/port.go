package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

type portOptions struct {
	protocol string
	index    int
}

func newPort(a *app) *cobra.Command {
	o := &portOptions{}
	cmd := &cobra.Command{
		Use:   "port [OPTIONS] SERVICE PRIVATE_PORT",
		Short: "Print the address that a container's port is published at",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPort(cmd.Context(), a, o, args[0], args[1])
		},
	}
	cmd.Flags().StringVar(&o.protocol, "protocol", "tcp", "tcp or udp")
	cmd.Flags().IntVar(&o.index, "index", 0, "replica number")
	return cmd
}

func runPort(ctx context.Context, a *app, o *portOptions, service, private string) error {
	target, err := strconv.ParseUint(private, 10, 16)
	if err != nil {
		return fmt.Errorf("cannot read port %q: want a number up to 65535", private)
	}
	if o.protocol = strings.ToLower(o.protocol); o.protocol != "tcp" && o.protocol != "udp" {
		return fmt.Errorf("protocol %q is neither tcp nor udp", o.protocol)
	}
	s, err := a.store(ctx)
	if err != nil {
		return err
	}
	i, err := a.runningContainer(ctx, s, service, o.index)
	if err != nil {
		return err
	}
	address, err := publishedAt(i, uint16(target), o.protocol)
	if err == nil {
		fmt.Fprintln(a.stdout, address)
	}
	return err
}

func publishedAt(i *scheduler.Instance, target uint16, protocol string) (string, error) {
	var all []string
	for _, p := range i.Ports {
		if p.Target == target && p.Protocol == protocol {
			return address(p), nil
		}
		all = append(all, fmt.Sprintf("%d/%s", p.Target, p.Protocol))
	}
	return "", fmt.Errorf("no port %d/%s for container %s: %s", target, protocol, i.Name, strings.Join(all, ", "))
}
