// Package netns turns a description of networks into kernel state: bridges,
// veth pairs, addresses, neighbour entries and nftables rules.
//
// It imports nothing of ours but netns/dns, and is the only package that
// imports netlink, nftables and vishvananda/netns. The pure parts compute; the
// _linux.go files apply. Apply takes the whole wish of one project and is
// idempotent: twice is once, and half-applied state left by a crash is repaired.
//
// Networks are host objects, because several stacks may share one. Each has a
// directory networks/ID under Options.State, documented at [Network] and [Lease]
// (the formats at record and leaseFile).
//
// The ways through the package:
//
//	Apply    Config ─check─▶ settle (pools, ipam) ─▶ network.json ─▶ bridge
//	                └─▶ firewall (text of a table) ─▶ compile ─▶ one transaction
//	                └─▶ accepts in other people's tables, forwarding, repair
//	Attach   Endpoint ─▶ lease (shared writes of leases.json) ─▶ plug ─▶ two
//	         batches of route requests, one of them inside the container
//	Balance  services.json, the project's ports, the tables inside its containers
//	Detach   ports away ─▶ link away (all callers' at once) ─▶ lease away
//	Observe  records against what look() dumps ─▶ Seen
//
// A service has an address beside the subnets (vip.go). Its clients are led to a
// backend inside their own namespaces (inside.go), where also the resolver is; so
// services see who calls, and the host has no part in it. Stacks that share a
// network read each other's records and wake each other (notify.go).
//
// A lease is written before its link is made and dropped after the link is gone,
// so every link has a record; should the record be lost, the link's alias names
// project and container. Locks, in the order they are taken: Host.applying, the
// machine-wide flock, a container's (Host.changing), a network's flock,
// Host.kernel or Host.firewall.
//
// What the firewall promises stands in firewall.go as text; TestCompiledRules…
// proves that the kernel gets what nft would make of that text.
package netns
