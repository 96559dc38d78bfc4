package rootfs

import (
	"cmp"
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

// BindMapping is the mapping of uids for an id-mapped bind of a directory of
// the host: the container's user is the directory's owner, every other id of
// the container is its subordinate id on disk. An owner that is itself one of
// the container's subordinate ids changes places with the user's. It is nil
// when ids has no place for the user.
func BindMapping(user specs.User, ids []specs.LinuxIDMapping, ownerUID uint32) []specs.LinuxIDMapping {
	return swapOwner(user.UID, ids, ownerUID)
}

// BindGroupMapping is BindMapping for gids.
func BindGroupMapping(user specs.User, ids []specs.LinuxIDMapping, ownerGID uint32) []specs.LinuxIDMapping {
	return swapOwner(user.GID, ids, ownerGID)
}

// swapOwner returns mappings whose ContainerID is the id on disk and whose
// HostID is the id that the mount shows to the kernel.
func swapOwner(user uint32, ids []specs.LinuxIDMapping, owner uint32) []specs.LinuxIDMapping {
	shown, ok := idMap(ids).host(user)
	if !ok || ids == nil {
		return nil
	}
	out := []specs.LinuxIDMapping{{ContainerID: owner, HostID: shown, Size: 1}}
	if owner != shown && idMap(ids).holds(owner) {
		out = append(out, specs.LinuxIDMapping{ContainerID: shown, HostID: owner, Size: 1})
	}
	for _, r := range ids {
		out = append(out, identityWithout(r.HostID, r.Size, shown, owner)...)
	}
	return normal(out)
}

// identityWithout maps [first, first+size) to itself but for two ids.
func identityWithout(first, size, a, b uint32) []specs.LinuxIDMapping {
	var out []specs.LinuxIDMapping
	start, end := uint64(first), uint64(first)+uint64(size)
	for _, hole := range []uint64{uint64(min(a, b)), uint64(max(a, b)), end} {
		if hole < start || hole > end {
			continue
		}
		if hole > start {
			id := uint32(start)
			out = append(out, specs.LinuxIDMapping{ContainerID: id, HostID: id, Size: uint32(hole - start)})
		}
		start = hole + 1
	}
	return out
}

// normal sorts a mapping and joins neighbours, so that equal mappings are
// written equally.
func normal(m []specs.LinuxIDMapping) []specs.LinuxIDMapping {
	slices.SortFunc(m, func(a, b specs.LinuxIDMapping) int {
		return cmp.Compare(a.ContainerID, b.ContainerID)
	})
	var out []specs.LinuxIDMapping
	for _, r := range m {
		if n := len(out) - 1; n >= 0 && follows(out[n], r) {
			out[n].Size += r.Size
			continue
		}
		out = append(out, r)
	}
	return out
}

func follows(a, b specs.LinuxIDMapping) bool {
	return uint64(a.ContainerID)+uint64(a.Size) == uint64(b.ContainerID) &&
		uint64(a.HostID)+uint64(a.Size) == uint64(b.HostID)
}
