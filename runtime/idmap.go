package runtime

import "github.com/opencontainers/runtime-spec/specs-go"

// HostID is what the host knows a container's id by; without maps, or beyond them, it
// is itself.
func HostID(id uint32, maps []specs.LinuxIDMapping) uint32 {
	for _, m := range maps {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + id - m.ContainerID
		}
	}
	return id
}
