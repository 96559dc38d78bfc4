package external

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"runc", "nvidia-container-runtime"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	for name, want := range map[string]string{
		"runc": "/runc", "io.containerd.runc.v2": "/runc", "nvidia": "/nvidia-container-runtime", dir + "/runc": "/runc",
	} {
		if got, err := Find(name); err != nil || got != dir+want {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"crun":                                  "apt install crun",
		"runsc":                                 "apt install runsc",
		"youki":                                 `cannot use runtime "youki": there is no such program`,
		"bin/runc":                              "not absolute",
		"./runc":                                "not absolute",
		"/nowhere/runc":                         "/nowhere/runc",
		dir:                                     dir,
		"kata":                                  "x-stack.isolation: vm",
		"kata-runtime":                          "x-stack.isolation: vm",
		"io.containerd.kata.v2":                 "x-stack.isolation: vm",
		"/opt/kata/bin/containerd-shim-kata-v2": "x-stack.isolation: vm",
		"io.containerd.kata-qemu.v2":            "x-stack.isolation: vm",
	} {
		got, err := Find(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v, want an error with %q", name, got, err, want)
		}
		if kata := strings.Contains(want, "isolation"); errors.Is(err, ErrKata) != kata {
			t.Errorf("%s: %v is ErrKata: %v", name, err, !kata)
		}
	}
	for name, want := range map[string]bool{"": true, "native": true, "stack": true, "runc": false, "/usr/bin/stack-oci": false} {
		if Native(name) != want {
			t.Errorf("%q is native: %v", name, !want)
		}
	}
}

// What each program is told; runsc hands no descriptors on.
func TestCommandLines(t *testing.T) {
	runc, runsc := program{"/usr/sbin/runc"}, program{"/opt/runsc-20221219"}
	const common = " --root /s/oci --log /s/job-1/log --log-format json "
	for _, c := range []struct {
		program program
		words   []string
		want    string
	}{
		{runc, runc.create("/s", "id", "", 0), "create --bundle /s --pid-file /s/pid id"},
		{runc, runc.create("/s", "id", "/c", 3), "create --bundle /s --pid-file /s/pid --console-socket /c --preserve-fds 3 id"},
		{runsc, runsc.create("/s", "id", "/c", 3), "create --bundle /s --pid-file /s/pid --console-socket /c id"},
		{runc, runc.exec("/s/job-1", "id", "", 2), "exec --process /s/job-1/process.json --pid-file /s/job-1/pid --detach --preserve-fds 2 id"},
		{runsc, runsc.exec("/s/job-1", "id", "", 2), "exec --process /s/job-1/process.json --pid-file /s/job-1/pid id"},
		{runsc, runsc.exec("/s/job-1", "id", "/s/job-1/console", 2), "exec --process /s/job-1/process.json --pid-file /s/job-1/pid --detach --console-socket /s/job-1/console id"},
		{runsc, runsc.kill("id", syscall.SIGTERM, false), "kill id 15"},
		{runsc, runsc.kill("id", syscall.SIGKILL, true), "kill --all id 9"},
		{runsc, runsc.delete("id"), "delete --force id"},
	} {
		got := strings.Join(c.program.argv("/s", "/s/job-1/log", c.words...), " ")
		if want := c.program.path + common + c.want; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
