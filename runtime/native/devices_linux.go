package native

import (
	"reflect"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// defaultDevices are what every container may use whatever its rules deny: the
// standard nodes, terminals, and making any node, which needs CAP_MKNOD and opens
// nothing.
func defaultDevices() []specs.LinuxDeviceCgroup {
	const anyNumber = -1
	rule := func(kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
		r := specs.LinuxDeviceCgroup{Allow: true, Type: kind, Access: access}
		if major != anyNumber {
			r.Major = &major
		}
		if minor != anyNumber {
			r.Minor = &minor
		}
		return r
	}
	list := []specs.LinuxDeviceCgroup{
		rule("c", anyNumber, anyNumber, "m"), rule("b", anyNumber, anyNumber, "m"), rule("c", 136, anyNumber, "rwm"),
	}
	for _, n := range [][2]int64{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}} {
		list = append(list, rule("c", n[0], n[1], "rwm"))
	}
	return list
}

// withDefaultDevices adds the default devices to rules that there are. r is not
// changed.
func withDefaultDevices(r *specs.LinuxResources) *specs.LinuxResources {
	if r == nil || len(r.Devices) == 0 {
		return r
	}
	if last := r.Devices[len(r.Devices)-1]; last.Allow && (last.Type == "" || last.Type == "a") {
		return r
	}
	copied := *r
	copied.Devices = slices.Clone(r.Devices)
	for _, d := range defaultDevices() {
		if !slices.ContainsFunc(r.Devices, func(own specs.LinuxDeviceCgroup) bool { return reflect.DeepEqual(own, d) }) {
			copied.Devices = append(copied.Devices, d)
		}
	}
	return &copied
}
