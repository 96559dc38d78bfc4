package rootfs

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"pgregory.net/rapid"
)

// toDisk is the id on disk for an id of the container, through both mappings.
func toDisk(container, bind []specs.LinuxIDMapping, id uint32) (uint32, bool) {
	host, ok := idMap(container).host(id)
	if !ok {
		return 0, false
	}
	for _, r := range bind {
		if host >= r.HostID && host-r.HostID < r.Size {
			return r.ContainerID + (host - r.HostID), true
		}
	}
	return 0, false
}

func TestBindMapping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Uint32Range(1000, 1<<20).Draw(t, "start")
		first := rapid.Uint32Range(1, 200).Draw(t, "first")
		second := rapid.Uint32Range(1, 200).Draw(t, "second")
		gap := rapid.Uint32Range(0, 5).Draw(t, "gap")
		ids := []specs.LinuxIDMapping{
			{ContainerID: 0, HostID: start, Size: first},
			{ContainerID: first, HostID: start + first + gap, Size: second},
		}
		user := rapid.Uint32Range(0, first+second-1).Draw(t, "user")
		owner := rapid.OneOf(rapid.Uint32Range(0, 2000), rapid.Uint32Range(start, start+first+second+gap)).Draw(t, "owner")
		bind := BindMapping(specs.User{UID: user}, ids, owner)

		seen := map[uint32]uint32{}
		for id := range first + second {
			disk, ok := toDisk(ids, bind, id)
			if !ok {
				t.Fatalf("id %d has no place on disk: %v", id, bind)
			}
			if other, twice := seen[disk]; twice {
				t.Fatalf("ids %d and %d are both %d on disk", other, id, disk)
			}
			seen[disk] = id
			host, _ := idMap(ids).host(id)
			if id == user && disk != owner {
				t.Fatalf("the user is %d on disk instead of the owner %d", disk, owner)
			}
			if id != user && host != owner && disk != host {
				t.Fatalf("id %d is %d on disk instead of %d", id, disk, host)
			}
		}
		checkDisjoint(t, bind)
	})
}

// checkDisjoint: the kernel refuses ranges that overlap on either side, and
// more than 340.
func checkDisjoint(t *rapid.T, m []specs.LinuxIDMapping) {
	for i, a := range m {
		if a.Size == 0 {
			t.Fatalf("empty range: %v", m)
		}
		for _, b := range m[i+1:] {
			if overlap(a.ContainerID, b.ContainerID, a.Size, b.Size) || overlap(a.HostID, b.HostID, a.Size, b.Size) {
				t.Fatalf("ranges overlap: %v", m)
			}
		}
	}
	if len(m) > 8 {
		t.Fatalf("too many ranges: %v", m)
	}
}

func overlap(a, b, sizeA, sizeB uint32) bool {
	return uint64(a) < uint64(b)+uint64(sizeB) && uint64(b) < uint64(a)+uint64(sizeA)
}

func TestBindMappingWithoutPlace(t *testing.T) {
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}}
	if got := BindMapping(specs.User{UID: 10}, ids, 5); got != nil {
		t.Errorf("got %v", got)
	}
	if got := BindMapping(specs.User{UID: 10}, nil, 5); got != nil {
		t.Errorf("got %v", got)
	}
}
