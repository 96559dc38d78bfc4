package scheduler

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/cdi"
)

func (t *translator) devices() error {
	if t.s.Privileged {
		t.allDevices()
		return nil
	}
	rules := defaultDeviceRules()
	for _, d := range t.s.Devices {
		if cdi.IsName(d.Source) {
			continue // see vendorDevices
		}
		r, err := t.device(d)
		if err != nil {
			return err
		}
		rules = append(rules, r...)
	}
	for _, text := range t.s.DeviceCgroupRules {
		r, err := parseDeviceRule(text)
		if err != nil {
			return err
		}
		rules = append(rules, r)
	}
	t.spec.Linux.Resources.Devices = rules
	return nil
}

// defaultDeviceRules deny everything but the pseudo-devices that are always there;
// a node may be made of any number, only not opened.
func defaultDeviceRules() []specs.LinuxDeviceCgroup {
	rule := func(major, minor int64) specs.LinuxDeviceCgroup {
		r := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Access: "rwm"}
		if minor >= 0 {
			r.Minor = &minor
		}
		return r
	}
	return []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		{Allow: true, Type: "c", Access: "m"},
		{Allow: true, Type: "b", Access: "m"},
		rule(1, 3),    // null
		rule(1, 5),    // zero
		rule(1, 7),    // full
		rule(1, 8),    // random
		rule(1, 9),    // urandom
		rule(5, 0),    // tty
		rule(5, 1),    // console
		rule(5, 2),    // ptmx
		rule(136, -1), // pts
	}
}

func (t *translator) allDevices() {
	t.spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	for _, name := range slices.Sorted(maps.Keys(t.in.Machine.Devices)) {
		if !ownDevice(name) {
			t.addDevice(name, t.in.Machine.Devices[name])
		}
	}
	for _, d := range t.s.Devices {
		if node, ok := t.in.Machine.Devices[d.Source]; ok && d.Target != "" && d.Target != d.Source {
			t.addDevice(d.Target, node)
		}
	}
}

// ownDevice names what every container has of its own.
func ownDevice(name string) bool {
	switch name {
	case "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/console", "/dev/ptmx":
		return true
	}
	for _, dir := range []string{"/dev/pts/", "/dev/shm/", "/dev/mqueue/"} {
		if strings.HasPrefix(name, dir) {
			return true
		}
	}
	return false
}

// device adds one mapping: a node, or every node of a directory.
func (t *translator) device(d types.DeviceMapping) ([]specs.LinuxDeviceCgroup, error) {
	access := cmp.Or(d.Permissions, "rwm")
	if strings.Trim(access, "rwm") != "" {
		return nil, fmt.Errorf("device %q: permissions %q are not made of r, w and m", d.Source, access)
	}
	source := path.Clean(d.Source)
	target := path.Clean(cmp.Or(d.Target, d.Source))
	if !path.IsAbs(source) || !path.IsAbs(target) {
		return nil, fmt.Errorf("device %q is neither a path nor a CDI name", d.Source)
	}
	var rules []specs.LinuxDeviceCgroup
	for _, name := range slices.Sorted(maps.Keys(t.in.Machine.Devices)) {
		if name != source && !strings.HasPrefix(name, source+"/") {
			continue
		}
		node := t.in.Machine.Devices[name]
		t.addDevice(path.Join(target, strings.TrimPrefix(name, source)), node)
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: node.Type, Major: &node.Major, Minor: &node.Minor, Access: access})
	}
	if len(rules) == 0 {
		return nil, fmt.Errorf("no such device on this machine: %s", d.Source)
	}
	return rules, nil
}

func (t *translator) addDevice(target string, node DeviceNode) {
	d := specs.LinuxDevice{Path: target, Type: node.Type, Major: node.Major, Minor: node.Minor,
		FileMode: new(node.Mode & os.ModePerm), UID: new(node.UID), GID: new(node.GID)}
	if t.ids != nil {
		// The same numbers inside, so that the image's group (video, dialout) works.
		d.UID, d.GID = new(t.inside(node.UID)), new(t.inside(node.GID))
	}
	t.spec.Linux.Devices = append(t.spec.Linux.Devices, d)
}

func (t *translator) inside(id uint32) uint32 {
	if id < t.ids.Size {
		return id
	}
	return 0
}

// parseDeviceRule reads device_cgroup_rules in the kernel's form: "c 1:3 rwm".
func parseDeviceRule(text string) (specs.LinuxDeviceCgroup, error) {
	m := regexp.MustCompile(`^([abc]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$`).FindStringSubmatch(text)
	if m == nil {
		return specs.LinuxDeviceCgroup{}, fmt.Errorf(`device_cgroup_rules: %q is not of the form "c 1:3 rwm"`, text)
	}
	r := specs.LinuxDeviceCgroup{Allow: true, Type: m[1], Access: m[4]}
	for i, to := range []**int64{&r.Major, &r.Minor} {
		if m[2+i] == "*" {
			continue
		}
		n, err := strconv.ParseInt(m[2+i], 10, 32)
		if err != nil {
			return r, fmt.Errorf("device_cgroup_rules: %q: number out of range", text)
		}
		*to = &n
	}
	return r, nil
}
