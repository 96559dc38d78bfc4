package netns

import "slices"

// Clash says, before n is made, whether a subnet that the file gives overlaps
// another network's, the host's own addresses, or a route of the host that it would
// take the traffic of.
func (h *Host) Clash(n Network) error {
	if n.Bridge == "" {
		n.Bridge = BridgeName(n.ID)
	}
	records, err := h.records()
	if err != nil {
		return err
	}
	v, err := h.look()
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(records, func(r record) bool { return r.Network.ID == n.ID })
	if err := n.clash(others, v.hostAddresses(n.Bridge)); err != nil {
		return err
	}
	routes, err := h.routes(v)
	if err != nil {
		return err
	}
	routes = slices.DeleteFunc(routes, func(r hostSubnet) bool { return r.link == n.Bridge || r.link == "" || r.link == "lo" })
	return n.clashRoutes(routes, v.vpns())
}

// vpns are the links that lead into a virtual private network.
func (v *kernelView) vpns() map[string]bool {
	out := map[string]bool{}
	for name, l := range v.byName {
		out[name] = slices.Contains([]string{"wireguard", "tuntap", "tun", "ppp", "xfrm", "vti", "vti6"}, l.Type())
	}
	return out
}
