package scheduler

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// mapping maps the container's ids, from 0, to the range.
func (r *IDRange) mapping() []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: 0, HostID: r.Base, Size: r.Size}}
}

// holds says whether a host id belongs to the range.
func (r *IDRange) holds(host uint32) bool { return host >= r.Base && host-r.Base < r.Size }

// BindMapping is the mapping for an id-mapped bind mount: ContainerID is the id
// on disk, HostID what the mount shows to the kernel. The container's user is the
// source's owner; every other container id is its subordinate id on disk. An owner
// that is itself a subordinate id changes places with the user's. It is nil when
// the range has no place for the user. The same rule stands in
// runtime/native/rootfs.
func BindMapping(user, owner uint32, r IDRange) []specs.LinuxIDMapping {
	if user >= r.Size {
		return nil
	}
	shown := r.Base + user
	points := []specs.LinuxIDMapping{{ContainerID: owner, HostID: shown, Size: 1}}
	holes := []uint32{shown}
	if owner != shown && r.holds(owner) {
		points = append(points, specs.LinuxIDMapping{ContainerID: shown, HostID: owner, Size: 1})
		holes = append(holes, owner)
	}
	slices.Sort(holes)
	return tidyMapping(append(points, identity(r, holes)...))
}

// identity maps the range to itself but for the holes, which are sorted.
func identity(r IDRange, holes []uint32) []specs.LinuxIDMapping {
	var out []specs.LinuxIDMapping
	start := r.Base
	for _, hole := range holes {
		if hole > start {
			out = append(out, specs.LinuxIDMapping{ContainerID: start, HostID: start, Size: hole - start})
		}
		start = hole + 1
	}
	if left := r.Size - (start - r.Base); left > 0 {
		out = append(out, specs.LinuxIDMapping{ContainerID: start, HostID: start, Size: left})
	}
	return out
}

// tidyMapping sorts extents and joins neighbours.
func tidyMapping(m []specs.LinuxIDMapping) []specs.LinuxIDMapping {
	slices.SortFunc(m, func(a, b specs.LinuxIDMapping) int {
		if a.ContainerID < b.ContainerID {
			return -1
		}
		return 1
	})
	out := m[:1]
	for _, e := range m[1:] {
		last := &out[len(out)-1]
		if last.ContainerID+last.Size == e.ContainerID && last.HostID+last.Size == e.HostID {
			last.Size += e.Size
		} else {
			out = append(out, e)
		}
	}
	return out
}
