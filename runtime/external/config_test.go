package external

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

func bundle() *runtime.Bundle {
	return &runtime.Bundle{ID: "id", Spec: &specs.Spec{
		Version: specs.Version, Hostname: "h", Domainname: "d",
		Root:    &specs.Root{Path: "/layers"},
		Process: &specs.Process{Args: []string{"sh", "-c", "x"}, Cwd: "/"},
		Mounts:  []specs.Mount{{Destination: "/data", Type: "bind", Source: "/host/data", Options: []string{"rbind", "idmap"}}},
		Linux:   &specs.Linux{CgroupsPath: "stack/id", Namespaces: []specs.LinuxNamespace{{Type: specs.UserNamespace, Path: "/proc/9/ns/user"}}},
	}}
}

func TestConfig(t *testing.T) {
	b := bundle()
	before, err := json.Marshal(b.Spec)
	if err != nil {
		t.Fatal(err)
	}
	ids := []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
	staged := runtime.Staged{Root: "/mnt", Readonly: true, Mounts: []specs.Mount{
		{Destination: "/data", Type: "bind", Source: "/media/mounts/0", Options: []string{"rbind", "rslave"}},
	}}
	rec := &record{Cgroup: cgroupPath("id", b.Spec.Linux.CgroupsPath), UserNS: true, UIDs: ids, GIDs: ids}
	got := config(b, staged, rec, "/proc/self/fd/5")
	switch {
	case got.Version != "1.0.2":
		t.Errorf("version %q", got.Version)
	case *got.Root != specs.Root{Path: "/mnt", Readonly: true}:
		t.Errorf("root %+v", got.Root)
	case !reflect.DeepEqual(got.Mounts, staged.Mounts):
		t.Errorf("mounts %+v", got.Mounts)
	case got.Domainname != "" || got.Hostname != "h":
		t.Errorf("names %q %q", got.Hostname, got.Domainname)
	case got.Linux.CgroupsPath != "/stack/id":
		t.Errorf("cgroup %q", got.Linux.CgroupsPath)
	case !reflect.DeepEqual(got.Linux.UIDMappings, ids) || !reflect.DeepEqual(got.Linux.GIDMappings, ids):
		t.Errorf("a joined namespace's ids are %v, %v", got.Linux.UIDMappings, got.Linux.GIDMappings)
	case got.Linux.RootfsPropagation != "slave":
		t.Errorf("propagation %q", got.Linux.RootfsPropagation)
	case !reflect.DeepEqual(got.Process.Args, []string{"/proc/self/fd/5"}):
		t.Errorf("args %q", got.Process.Args)
	}
	if after, _ := json.Marshal(b.Spec); string(after) != string(before) {
		t.Errorf("the caller's specification changed:\n%s\n%s", before, after)
	}
	if got := config(b, staged, rec, ""); !reflect.DeepEqual(got.Process.Args, b.Spec.Process.Args) {
		t.Errorf("without a launcher: %q", got.Process.Args)
	}
}

func TestRecordOfAnotherVersion(t *testing.T) {
	if _, err := parseRecord([]byte(`{"Version": 2}`)); err == nil {
		t.Error("a newer record is read")
	}
	if _, err := parseRecord([]byte(`{`)); err == nil {
		t.Error("half a record is read")
	}
}
