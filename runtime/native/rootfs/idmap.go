package rootfs

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// idMap is the mapping of a user namespace; nil maps every id to itself.
type idMap []specs.LinuxIDMapping

// host is the host's id of a container's id.
func (m idMap) host(id uint32) (uint32, bool) {
	if m == nil {
		return id, true
	}
	for _, r := range m {
		if id >= r.ContainerID && id-r.ContainerID < r.Size {
			return r.HostID + (id - r.ContainerID), true
		}
	}
	return 0, false
}

// holds says whether a host's id belongs to some id of the container.
func (m idMap) holds(host uint32) bool {
	if m == nil {
		return true
	}
	return slices.ContainsFunc(m, func(r specs.LinuxIDMapping) bool {
		return host >= r.HostID && host-r.HostID < r.Size
	})
}
