// Package netns turns a description of networks into kernel state: bridges,
// veth pairs, addresses, neighbour entries and nftables rules.
//
// It imports nothing of ours but netns/dns, and is the only package that
// imports netlink, nftables and vishvananda/netns. The pure parts (ipam.go, firewall.go,
// names.go) compute; the _linux.go files apply. Apply takes the whole wish of
// one project and is idempotent: twice is once, and half-applied state left by a
// crash is repaired.
//
// Networks are host objects, because several stacks may share one. Each has a
// directory networks/ID under Options.State, documented at [Network] and [Lease].
package netns
