package netns

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
)

// linkNameLen is the longest name a link can have (IFNAMSIZ less the NUL).
const linkNameLen = 15

func digest(parts ...string) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join(parts, "\x00")))
}

func hexDigest(n int, parts ...string) string {
	sum := digest(parts...)
	return hex.EncodeToString(sum[:])[:n]
}

// NetworkID names a project's network for the machine: 12 hexadecimal digits,
// the same for the same project and key on every call.
func NetworkID(project, key string) string { return hexDigest(12, project, key) }

// BridgeName is the name of a network's bridge when the file gives none.
func BridgeName(id string) string {
	if len(id) > linkNameLen-3 {
		id = hexDigest(linkNameLen-3, id)
	}
	return "st-" + id
}

// linkName is the host side of an endpoint's veth pair. It depends on nothing
// but the endpoint, so that a crash leaves no link whose name is unknown.
func linkName(container, ifName string) string {
	return "st" + hexDigest(linkNameLen-2, container, ifName)
}

// maxLabel keeps aliases under IFALIASZ (256) and table names far under nft's
// 255 with a container ID of 64 digits beside the project.
const maxLabel = 100

// label is a project's name as it stands in aliases, comments and table names:
// itself, unless it is too long or could not be told from what follows it.
func label(project string) string {
	plain := len(project) <= maxLabel && project != "" &&
		strings.Trim(project, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
	if plain {
		return project
	}
	return "." + hexDigest(24, project)
}

// tableName is the name of a project's nftables table, in family inet.
func tableName(project string) string { return "stack-" + label(project) }

// comment marks a project's rules in chains that are not its own.
func comment(project string) string { return "stack " + label(project) }

// linkAlias is what `ip link` shows on a veth; Remove finds links by its prefix
// even when every record is lost.
func linkAlias(project, container, ifName string) string {
	return aliasPrefix(project) + container + " " + ifName
}

func bridgeAlias(project, id string) string { return aliasPrefix(project) + "network " + id }

func aliasPrefix(project string) string { return "stack " + label(project) + " " }

// bridgeMAC is fixed by the network's ID: containers hold a permanent neighbour
// entry for their gateway, which must stay true when the bridge is made anew.
func bridgeMAC(id string) net.HardwareAddr {
	sum := digest("bridge", id)
	return append(net.HardwareAddr{0x02}, sum[:5]...)
}

// endpointMAC derives an endpoint's hardware address from its IP address, so an
// address that changes hands never meets a stale neighbour entry.
func endpointMAC(ip4, ip6 netip.Addr) net.HardwareAddr {
	if ip4.IsValid() {
		b := ip4.As4()
		return append(net.HardwareAddr{0x02, 0x42}, b[:]...)
	}
	sum := digest("endpoint", ip6.String())
	return append(net.HardwareAddr{0x02, 0x43}, sum[:4]...)
}
