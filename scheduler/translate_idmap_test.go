package scheduler

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"pgregory.net/rapid"
)

func shownAs(m []specs.LinuxIDMapping, disk uint32) (uint32, bool) {
	for _, e := range m {
		if disk >= e.ContainerID && disk-e.ContainerID < e.Size {
			return e.HostID + (disk - e.ContainerID), true
		}
	}
	return 0, false
}

// overlapping reports whether two extents share an id on either side, which the
// kernel refuses.
func overlapping(m []specs.LinuxIDMapping) bool {
	for _, side := range []func(specs.LinuxIDMapping) uint32{
		func(e specs.LinuxIDMapping) uint32 { return e.ContainerID },
		func(e specs.LinuxIDMapping) uint32 { return e.HostID },
	} {
		sorted := slices.Clone(m)
		slices.SortFunc(sorted, func(a, b specs.LinuxIDMapping) int { return int(int64(side(a)) - int64(side(b))) })
		for i := 1; i < len(sorted); i++ {
			if uint64(side(sorted[i-1]))+uint64(sorted[i-1].Size) > uint64(side(sorted[i])) {
				return true
			}
		}
	}
	return false
}

func TestBindMappingProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := IDRange{Base: rapid.Uint32Range(1, 1<<31).Draw(t, "base"), Size: rapid.Uint32Range(1, 70000).Draw(t, "size")}
		user := rapid.Uint32Range(0, r.Size-1).Draw(t, "user")
		owner := rapid.OneOf(rapid.Uint32Range(0, 1<<31), rapid.Uint32Range(r.Base, r.Base+r.Size-1)).Draw(t, "owner")
		m := BindMapping(user, owner, r)
		if overlapping(m) {
			t.Fatalf("extents overlap: %v", m)
		}
		if got, ok := shownAs(m, owner); !ok || got != r.Base+user {
			t.Fatalf("owner %d shown as %d, want %d", owner, got, r.Base+user)
		}
		// Probe the edges and an id in the middle.
		for _, id := range []uint32{0, user - 1, user + 1, r.Size / 2, r.Size - 1} {
			disk := r.Base + id
			if id >= r.Size || id == user || disk == owner {
				continue
			}
			if got, ok := shownAs(m, disk); !ok || got != disk {
				t.Fatalf("subordinate id %d shown as %d in %v", disk, got, m)
			}
		}
		// A bijection onto the range: whatever the container may be has a place on disk.
		var size uint64
		for _, e := range m {
			size += uint64(e.Size)
			if !r.holds(e.HostID) || !r.holds(e.HostID+e.Size-1) || e.Size == 0 {
				t.Fatalf("extent %v leads out of the range", e)
			}
		}
		if size != uint64(r.Size) {
			t.Fatalf("%d of %d ids mapped: %v", size, r.Size, m)
		}
	})
}

func TestBindMappingTable(t *testing.T) {
	r := IDRange{Base: 1000, Size: 10}
	for name, c := range map[string]struct {
		user, owner uint32
		want        []specs.LinuxIDMapping
	}{
		"root, root's":      {0, 0, []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1001, HostID: 1001, Size: 9}}},
		"last id":           {9, 5, []specs.LinuxIDMapping{{ContainerID: 5, HostID: 1009, Size: 1}, {ContainerID: 1000, HostID: 1000, Size: 9}}},
		"already its own":   {3, 1003, []specs.LinuxIDMapping{{ContainerID: 1000, HostID: 1000, Size: 10}}},
		"another's":         {0, 1009, []specs.LinuxIDMapping{{ContainerID: 1000, HostID: 1009, Size: 1}, {ContainerID: 1001, HostID: 1001, Size: 8}, {ContainerID: 1009, HostID: 1000, Size: 1}}},
		"outside the range": {10, 0, nil},
	} {
		if got := BindMapping(c.user, c.owner, r); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
