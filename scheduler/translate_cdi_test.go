package scheduler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/cdi"
)

func TestVendorDevices(t *testing.T) {
	edit := func(e cdi.Edits, privileged bool) (*specs.Spec, error) {
		s := types.ServiceConfig{}
		s.Privileged = privileged
		tr := &translator{s: s, ids: &IDRange{Base: 100000, Size: 1000},
			spec: &specs.Spec{Process: &specs.Process{Env: []string{"A=1"}}, Linux: &specs.Linux{Resources: &specs.LinuxResources{}}},
			in: TranslateInput{CDI: &e, Owners: map[string]BindOwner{"/lib": {}},
				Machine: Machine{Devices: map[string]DeviceNode{"/dev/x": {Type: "c", Major: 7, Minor: 8, Mode: 0o600, GID: 5000}}}}}
		return tr.spec, tr.vendorDevices()
	}
	got, err := edit(cdi.Edits{
		Env:            []string{"A=2", "B=3=4"},
		DeviceNodes:    []cdi.DeviceNode{{Path: "/dev/y", HostPath: "/dev/x", Permissions: "rw", GID: new(uint32(44))}, {Path: "/dev/x"}},
		Mounts:         []cdi.Mount{{HostPath: "/lib", ContainerPath: "/l", Options: []string{"ro"}}, {HostPath: "tmpfs", ContainerPath: "/t", Type: "tmpfs"}},
		Hooks:          []cdi.Hook{{Name: "createContainer", Path: "/h"}, {Name: "poststop", Path: "/p"}},
		AdditionalGIDs: []uint32{44, 5000},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, d := range got.Linux.Devices {
		parts = append(parts, fmt.Sprintf("%s %d:%d %o %d", d.Path, d.Major, d.Minor, *d.FileMode, *d.GID))
	}
	for _, r := range got.Linux.Resources.Devices {
		parts = append(parts, fmt.Sprintf("%s %d:%d %s", r.Type, *r.Major, *r.Minor, r.Access))
	}
	for _, m := range got.Mounts {
		parts = append(parts, fmt.Sprintf("%s %s %s %v", m.Destination, m.Type, m.Source, m.Options))
	}
	parts = append(parts, fmt.Sprintf("%v %v %s %s", got.Process.Env, got.Process.User.AdditionalGids, got.Hooks.CreateContainer[0].Path, got.Hooks.Poststop[0].Path))
	want := `/dev/y 7:8 600 44
/dev/x 7:8 600 0
c 7:8 rw
c 7:8 rwm
/l bind /lib [ro rbind]
/t tmpfs tmpfs []
[A=2 B=3=4] [44] /h /p`
	if text := strings.Join(parts, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	for want, e := range map[string]cdi.Edits{
		`hook "dance" of a CDI`:              {Hooks: []cdi.Hook{{Name: "dance"}}},
		"no such device on this machine":     {DeviceNodes: []cdi.DeviceNode{{Path: "/dev/z"}}},
		"has no absolute path":               {DeviceNodes: []cdi.DeviceNode{{Path: "x", HostPath: "/dev/x"}}},
		`mount "l" of a CDI`:                 {Mounts: []cdi.Mount{{HostPath: "/lib", ContainerPath: "l"}}},
		`permissions "q" are not made of r,`: {DeviceNodes: []cdi.DeviceNode{{Path: "/dev/x", Permissions: "q"}}},
	} {
		if _, err := edit(e, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if s, err := edit(cdi.Edits{DeviceNodes: []cdi.DeviceNode{{Path: "/dev/x"}}}, true); err != nil || len(s.Linux.Resources.Devices) != 0 {
		t.Errorf("privileged: %v, %v", s.Linux.Resources.Devices, err)
	}
}
