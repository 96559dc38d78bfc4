package netns

import "github.com/vishvananda/netlink/nl"

// brokenForwarding tells that somebody turned off what the networks need; Apply turns it
// on, with other links kept apart as where it was off from the start.
func (h *Host) brokenForwarding(networks []Network) (out []Fault) {
	need4, need6 := needsForwarding(networks)
	for name, needed := range map[string]bool{forward4: need4, forward6: need6 && h.ipv6} {
		if needed && h.isOff(name) {
			out = append(out, Fault{Text: "sysctl " + name + " is off"})
		}
	}
	return out
}

// isOff reports whether a sysctl of the host's namespace is 0.
func (h *Host) isOff(name string) bool {
	value := ""
	err := h.run(h.space, func() (err error) { value, err = readSysctl(name); return err })
	return err == nil && value == "0"
}

// Attributes of linux/netconf.h; everywhere stands for all links.
const (
	netconfIndex      = 1
	netconfForwarding = 2
	everywhere        = -1
)

// concernsForwarding judges a message of RTM_NEWNETCONF: forwarding was turned off.
func concernsForwarding(body []byte) bool {
	const head = 4 // struct netconfmsg, padded
	if len(body) < head {
		return false
	}
	attrs, err := nl.ParseRouteAttr(body[head:])
	if err != nil {
		return true
	}
	all, off := false, false
	for _, a := range attrs {
		if len(a.Value) != 4 {
			continue
		}
		switch value := int32(nl.NativeEndian().Uint32(a.Value)); a.Attr.Type {
		case netconfIndex:
			all = value == everywhere
		case netconfForwarding:
			off = value == 0
		}
	}
	return all && off
}
