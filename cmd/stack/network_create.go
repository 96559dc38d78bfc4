package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"stack/scheduler"
)

type networkCreateOptions struct {
	driver                           string
	subnets, gateways, ranges        []string
	labels, opts, aux                []string
	internal, ipv6, ipv4, attachable bool
}

func newNetworkCreate(a *app) *cobra.Command {
	o := &networkCreateOptions{}
	cmd := &cobra.Command{
		Use:   "create NETWORK",
		Short: "Make a network that belongs to no project; stack files call it external",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runNetworkCreate(cmd.Context(), a, o, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.driver, "driver", "d", "bridge", "only bridge")
	f.StringSliceVar(&o.subnets, "subnet", nil, "subnet in CIDR form")
	f.StringSliceVar(&o.gateways, "gateway", nil, "the host's address in the subnet")
	f.StringSliceVar(&o.ranges, "ip-range", nil, "part of the subnet that addresses are chosen from")
	f.StringArrayVar(&o.aux, "aux-address", nil, "NAME=ADDRESS that is never given out")
	f.BoolVar(&o.internal, "internal", false, "no way to the host or the outside")
	f.BoolVar(&o.ipv6, "ipv6", false, "with IPv6 addresses")
	f.BoolVar(&o.ipv4, "ipv4", true, "with IPv4 addresses")
	f.BoolVar(&o.attachable, "attachable", false, "accepted for compatibility: every network is")
	f.StringArrayVar(&o.labels, "label", nil, "KEY=VALUE")
	f.StringArrayVarP(&o.opts, "opt", "o", nil, "driver option KEY=VALUE")
	return cmd
}

func runNetworkCreate(ctx context.Context, a *app, o *networkCreateOptions, name string) error {
	if err := scheduler.CheckName("network", name); err != nil {
		return err
	}
	c, err := o.config()
	if err != nil {
		return err
	}
	n, err := scheduler.LoneNetwork(name, c)
	if err != nil {
		return fmt.Errorf("cannot create network %s: %w", name, err)
	}
	if err := requireRoot(); err != nil {
		return err
	}
	host, err := a.openNetwork("")
	if err != nil {
		return err
	}
	defer host.Close()
	if err := host.CreateNetwork(ctx, n); err != nil {
		return fmt.Errorf("cannot create network %s: %w", name, err)
	}
	fmt.Fprintln(a.stdout, n.ID)
	return nil
}

// config is the network as a stack file would declare it.
func (o *networkCreateOptions) config() (types.NetworkConfig, error) {
	c := types.NetworkConfig{
		Driver: o.driver, DriverOpts: types.Options(parseLabels(o.opts)), Internal: o.internal,
		EnableIPv4: &o.ipv4, Labels: types.Labels(parseLabels(o.labels)),
	}
	if o.ipv6 {
		c.EnableIPv6 = &o.ipv6
	}
	for _, s := range o.subnets {
		c.Ipam.Config = append(c.Ipam.Config, &types.IPAMPool{Subnet: s})
	}
	for _, g := range o.gateways {
		p, err := o.poolOf(c.Ipam.Config, "gateway", g)
		if err != nil {
			return c, err
		}
		p.Gateway = g
	}
	for _, r := range o.ranges {
		p, err := o.poolOf(c.Ipam.Config, "ip-range", r)
		if err != nil {
			return c, err
		}
		p.IPRange = r
	}
	return c, o.auxiliary(c.Ipam.Config)
}

func (o *networkCreateOptions) auxiliary(pools []*types.IPAMPool) error {
	for _, entry := range o.aux {
		name, addr, ok := strings.Cut(entry, "=")
		if !ok {
			return fmt.Errorf("cannot read --aux-address %q: want NAME=ADDRESS", entry)
		}
		p, err := o.poolOf(pools, "aux-address", addr)
		if err != nil {
			return err
		}
		if p.AuxiliaryAddresses == nil {
			p.AuxiliaryAddresses = types.Mapping{}
		}
		p.AuxiliaryAddresses[name] = addr
	}
	return nil
}

// poolOf finds the subnet that holds an address or range.
func (o *networkCreateOptions) poolOf(pools []*types.IPAMPool, flag, text string) (*types.IPAMPool, error) {
	host, _, _ := strings.Cut(text, "/")
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return nil, fmt.Errorf("cannot read --%s %q: %w", flag, text, err)
	}
	for _, p := range pools {
		subnet, err := netip.ParsePrefix(p.Subnet)
		if err != nil {
			return nil, fmt.Errorf("cannot read --subnet %q: %w", p.Subnet, err)
		}
		if subnet.Contains(addr) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("--%s %s lies in no --subnet", flag, text)
}
