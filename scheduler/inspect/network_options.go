package inspect

import (
	"strconv"

	"stack/netns"
)

// networkOptions are the driver options that differ from Docker's defaults, and
// the bridge's name.
func networkOptions(n netns.Network) map[string]string {
	bridge := n.Bridge
	if bridge == "" {
		bridge = netns.BridgeName(n.ID)
	}
	out := map[string]string{"com.docker.network.bridge.name": bridge}
	if n.Isolated {
		out["com.docker.network.bridge.enable_icc"] = "false"
	}
	if !n.Masquerade && !n.Internal {
		out["com.docker.network.bridge.enable_ip_masquerade"] = "false"
	}
	if n.MTU > 0 {
		out["com.docker.network.driver.mtu"] = strconv.Itoa(n.MTU)
	}
	return out
}
