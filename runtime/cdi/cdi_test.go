package cdi

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const nvidia = `{"cdiVersion": "0.6.0", "kind": "nvidia.com/gpu",
 "devices": [
  {"name": "1", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia1"}]}},
  {"name": "10", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia10"}]}},
  {"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0", "permissions": "rw"}]}},
  {"name": "all", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0"}, {"path": "/dev/nvidia1"}]}}],
 "containerEdits": {"env": ["NVIDIA_VISIBLE_DEVICES=void"],
  "mounts": [{"hostPath": "/usr/lib/x", "containerPath": "/usr/lib/x", "options": ["ro", "bind"]}],
  "hooks": [{"hookName": "createContainer", "path": "/usr/bin/nvidia-ctk", "args": ["nvidia-ctk", "hook"]}]}}`

const amd = `cdiVersion: "0.8.0"
kind: amd.com/gpu
devices:
- name: left
  containerEdits: {env: [SIDE=left]}
- name: right
  containerEdits: {env: [SIDE=right], additionalGids: [44]}
`

func registry(t *testing.T, files map[string]string) *Registry {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load([]string{filepath.Join(dir, "etc"), filepath.Join(dir, "run")})
}

func TestSelect(t *testing.T) {
	r := registry(t, map[string]string{"etc/nvidia.json": nvidia, "run/amd.yaml": amd, "etc/README": "no"})
	for _, c := range []struct {
		q    Request
		want string
	}{
		{Request{Count: -1, Capabilities: []string{"gpu"}}, "[nvidia.com/gpu=all]"},
		{Request{Count: 2, Capabilities: []string{"utility", "gpu"}}, "[nvidia.com/gpu=0 nvidia.com/gpu=1]"},
		{Request{Count: 4, Driver: "nvidia"}, "4 devices of nvidia.com/gpu are wanted, the machine has 3"},
		{Request{IDs: []string{"10", "0"}, Driver: "nvidia"}, "[nvidia.com/gpu=10 nvidia.com/gpu=0]"},
		{Request{Count: -1, Driver: "amd"}, "[amd.com/gpu=left amd.com/gpu=right]"},
		{Request{Count: 1, Driver: "amd.com/gpu"}, "[amd.com/gpu=left]"},
		{Request{IDs: []string{"amd.com/gpu=left", "nvidia.com/gpu=0"}, Driver: "cdi"}, "[amd.com/gpu=left nvidia.com/gpu=0]"},
		{Request{Count: 1, Capabilities: []string{"tpu"}}, "no CDI specification of any vendor's tpu in DIR/etc or DIR/run"},
		{Request{Count: 1, Driver: "intel"}, "no CDI specification of intel.com/gpu in DIR/etc or DIR/run"},
	} {
		names, err := r.Select(c.q)
		got := fmt.Sprint(names)
		if err != nil {
			got = strings.ReplaceAll(err.Error(), filepath.Dir(r.dirs[0]), "DIR")
		}
		if got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.q, got, c.want)
		}
	}
}

func TestDevices(t *testing.T) {
	r := registry(t, map[string]string{"etc/nvidia.json": nvidia, "etc/amd.yaml": amd,
		"run/amd.yaml": strings.ReplaceAll(amd, "SIDE=right", "SIDE=override")})
	e, err := r.Devices("nvidia.com/gpu=0", "nvidia.com/gpu=1", "amd.com/gpu=right")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%v %v %d mounts, %d hooks, %v", e.Env, e.DeviceNodes, len(e.Mounts), len(e.Hooks), e.AdditionalGIDs)
	want := "[NVIDIA_VISIBLE_DEVICES=void SIDE=override] [{/dev/nvidia0  rw <nil> <nil> <nil>} {/dev/nvidia1   <nil> <nil> <nil>}] 1 mounts, 1 hooks, [44]"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for name, want := range map[string]string{
		"nvidia.com/gpu=7": "no such device: nvidia.com/gpu=7 (there are 0, 1, 10, all)",
		"/dev/nvidia0":     `"/dev/nvidia0" is no device: want VENDOR/CLASS=NAME`,
	} {
		if _, err := r.Devices(name); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBrokenSpecificationsAreTold(t *testing.T) {
	r := registry(t, map[string]string{"etc/a.json": "{", "etc/b.yaml": "cdiVersion: '2.0.0'\nkind: x.com/y", "etc/c.yaml": "cdiVersion: '1.0.0'\nkind: y", "etc/amd.yaml": amd, "etc/amd2.yaml": amd})
	_, err := r.Devices("x.com/y=0")
	for _, part := range []string{"cannot use", "a.json", `version "2.0.0" is not known`, `"y" is no kind`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if _, err := r.Devices("amd.com/gpu=left"); err == nil || !strings.Contains(err.Error(), "described twice") {
		t.Errorf("a conflict: %v", err)
	}
	if Load([]string{filepath.Join(t.TempDir(), "none")}).Kinds() != nil {
		t.Error("kinds of nothing")
	}
}

func TestIsName(t *testing.T) {
	for s, want := range map[string]bool{"vendor.com/class=name": true, "nvidia.com/gpu=GPU-12:0": true, "/dev/x=y": false, "a/b": false, "a/b=": false, "a/b=c/d": false, "../x=y": false} {
		if IsName(s) != want {
			t.Errorf("IsName(%q) = %v", s, !want)
		}
	}
}
