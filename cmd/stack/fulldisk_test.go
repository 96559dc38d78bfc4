package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stack/cmd/internal/cmdtest"
)

const onFullDisk = `
services:
  web:
    image: rootfs:/
    init: true
    command: ["sleep", "1000"]
    volumes: ["data:/data"]
  other:
    image: rootfs:/
    init: true
    command: ["sleep", "1000"]
volumes: {data: {}}
`

// fullDisk is a small file system that can be filled to the last byte.
type fullDisk struct {
	t   *testing.T
	dir string
}

func newFullDisk(t *testing.T) fullDisk {
	t.Helper()
	cmdtest.NeedRoot(t)
	dir, err := os.MkdirTemp("", "fd-")
	if err == nil {
		err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Unmount(dir, syscall.MNT_DETACH)
		os.Remove(dir)
	})
	return fullDisk{t, dir}
}

func (d fullDisk) ballast() string { return filepath.Join(d.dir, "ballast") }

func (d fullDisk) fill() {
	d.t.Helper()
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
}

func (d fullDisk) free() {
	d.t.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		d.t.Fatal(err)
	}
}

// TestFullDisk: what needs space fails at once and says so, and changes nothing; what
// runs can be looked at, stopped and taken down, which is what gives space back.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := newFullDisk(t)
	root, err := os.MkdirTemp(disk.dir, "st-")
	if err != nil {
		t.Fatal(err)
	}
	p := newProjectOn(t, root, onFullDisk)
	fails := func(args ...string) {
		t.Helper()
		if out, err := p.try(args...); err == nil || !strings.Contains(out, "no space left on device") {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
	disk.fill()
	fails("up", "-d")
	disk.free()
	p.run("up", "-d")
	before := p.containers()
	p.awaitRest("up") // what it still writes could give space back
	disk.fill()
	fails("up", "-d")
	fails("restart", "web")
	if out := p.run("ps", "--services"); !strings.Contains(out, "web") || !strings.Contains(out, "other") {
		t.Errorf("ps: %s", out)
	}
	p.run("exec", "-T", "web", "true")
	if now := p.containers(); !maps.Equal(now, before) {
		t.Errorf("containers are %v, were %v", now, before)
	}
	p.run("stop", "web")
	disk.free()
	p.run("up", "-d")
	p.awaitRest("up again")
	disk.fill()
	p.run("down", "-v")
	if left := settle(p.root, p.name); len(left) > 0 {
		t.Errorf("left: %s", strings.Join(left, "\n"))
	}
	disk.free()
}
