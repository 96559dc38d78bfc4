package main

import "strings"

func judgeNftables(e evidence) finding {
	if err := e.network.Nftables; err != nil {
		return ok("nftables", "%v", err).fail("modprobe nf_tables nft_chain_nat; ports cannot be published without")
	}
	return ok("nftables", "works")
}

func judgeBridge(e evidence) finding {
	if err := e.network.Bridge; err != nil {
		return ok("bridges", "%v", err).fail("modprobe bridge veth; only network_mode host and none work without")
	}
	return ok("bridges", "can be made")
}

func judgeForward(e evidence) finding {
	if e.network.IPForward {
		return ok("ip_forward", "on")
	}
	return ok("ip_forward", "off: stack turns it on while a network needs it, and keeps your other links apart")
}

func judgeBridgeFilter(e evidence) finding {
	if !e.network.BridgeFilter {
		return ok("bridge-nf-call", "off")
	}
	return ok("bridge-nf-call", "on: packets between containers pass the host's firewall, where stack adds what they need")
}

func judgeDrops(e evidence) finding {
	switch {
	case e.network.DropsErr != nil:
		return ok("firewall", "%v", e.network.DropsErr).warn("it is not known whether other tables drop the traffic of containers")
	case len(e.network.Drops) > 0:
		return ok("firewall", "drops by default: %s", strings.Join(e.network.Drops, ", ")).warn("stack adds accepts for its bridges there (comment \"stack PROJECT\") and takes them away with down")
	}
	return ok("firewall", "no other table drops by default")
}
