package netns

import "slices"

// Clash says, before n is made, whether a subnet that the file gives overlaps
// another network's or the host's own addresses.
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
	return n.clash(others, v.hostAddresses(n.Bridge))
}
