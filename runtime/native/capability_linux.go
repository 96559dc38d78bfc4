package native

import (
	"fmt"
	"strings"

	"github.com/moby/sys/capability"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// capabilities are a process's five sets, a bit a capability.
type capabilities struct {
	bounding, effective, permitted, inheritable, ambient uint64
	last                                                 int // highest one the kernel knows
}

// newCapabilities reads the specification's sets. What the kernel does not know,
// or what may not be had (available), is left out and named in a warning.
func newCapabilities(c *specs.LinuxCapabilities, available uint64) (capabilities, []string, error) {
	last, err := capability.LastCap()
	if err != nil {
		return capabilities{}, nil, fmt.Errorf("cannot find out the kernel's capabilities: %w", err)
	}
	out := capabilities{last: int(last)}
	if c == nil {
		return out, nil, nil
	}
	names := map[string]uint64{}
	for n := capability.Cap(0); n <= last; n++ {
		names["CAP_"+strings.ToUpper(n.String())] = 1 << n
	}
	missing := map[string]bool{}
	var warnings []string
	read := func(list []string) (mask uint64) {
		for _, name := range list {
			bit := names[strings.ToUpper(name)] & available
			if bit == 0 && !missing[name] {
				missing[name] = true
				warnings = append(warnings, fmt.Sprintf("capability %s is not available here", name))
			}
			mask |= bit
		}
		return mask
	}
	out.bounding, out.permitted = read(c.Bounding), read(c.Permitted)
	out.effective, out.inheritable, out.ambient = read(c.Effective), read(c.Inheritable), read(c.Ambient)
	if lost := out.ambient &^ (out.inheritable & out.permitted); lost != 0 {
		out.ambient &^= lost
		warnings = append(warnings, "ambient capabilities that are not permitted and inheritable, too, are left out: the kernel refuses them")
	}
	return out, warnings, nil
}

// ownCapabilities are those that this process could hand on.
func ownCapabilities() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("cannot read own capabilities: %w", err)
	}
	mask := uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32
	for n := range 64 {
		if in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0); err != nil || in != 1 {
			mask &^= 1 << n
		}
	}
	return mask, nil
}
