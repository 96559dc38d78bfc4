package rootfs

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestImageMounts(t *testing.T) {
	for name, old := range map[string]bool{"now": false, "old kernel": true} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, userNS bool) {
				c := newContainer(t, userNS)
				c.setup.oldKernel = old
				c.overlayRoot(nil)
				top := c.layer("top", map[string]string{"etc/conf": "top", "link": "-> /etc", "out": "-> ../../../../etc/passwd"})
				low := c.layer("low", map[string]string{"etc/conf": "low", "etc/other": "other"})
				lowers := []string{"lowerdir+=" + top, "lowerdir+=" + low}
				c.setup.Mounts = []specs.Mount{
					{Destination: "/tools", Type: "overlay", Source: "overlay", Options: lowers},
					{Destination: "/part", Type: "overlay", Source: "overlay", Options: append([]string{"subpath=link"}, lowers...)},
					{Destination: "/one", Type: "overlay", Source: "overlay", Options: lowers[1:]},
				}
				if r := c.build(); len(r.Warnings) > 0 {
					t.Errorf("warnings: %q", r.Warnings)
				}
				got := c.read("/tools/etc/conf") + c.read("/tools/etc/other") + c.read("/part/conf") + c.read("/one/etc/conf")
				if got != "topothertoplow" {
					t.Errorf("read %q", got)
				}
				for _, file := range []string{"/tools/new", "/tools/etc/conf", "/part/conf", "/one/etc/conf"} {
					c.refuse("write", file, unix.EROFS)
				}
				if r := c.must("stat", "/tools/etc/conf", ""); r.UID != 0 {
					t.Errorf("the container's root sees owner %d", r.UID)
				}
			})
		})
	}
}

func TestImageMountStaysInTheImage(t *testing.T) {
	c := newContainer(t, false)
	c.overlayRoot(nil)
	layer := c.layer("layer", map[string]string{"out": "-> ../../../../../etc"})
	c.setup.Mounts = []specs.Mount{{Destination: "/x", Type: "overlay", Options: []string{"lowerdir+=" + layer, "subpath=out"}}}
	if _, err := c.tryBuild(); err == nil || !strings.Contains(err.Error(), `subpath "out"`) {
		t.Errorf("error %v", err)
	}
}

// A file system of its own, of a kind that knows no id mapping.
func TestFilesystemMounts(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.overlayRoot(nil)
		m := specs.Mount{Destination: "/ram", Type: "ramfs", Source: "ramfs", Options: []string{"mode=0755", "nosuid", "nodev"}}
		c.setup.Mounts = []specs.Mount{m}
		c.build()
		if r := c.must("stat", "/ram", ""); r.Flags&unix.ST_NOSUID == 0 {
			t.Errorf("/ram has flags %#x", r.Flags)
		}
		c.setup.Mounts[0].Destination = "/part"
		c.setup.Mounts[0].Options = []string{"subpath=../etc"}
		if _, err := c.tryBuild(); err == nil || !strings.Contains(err.Error(), "subpath") {
			t.Errorf("error %v", err)
		}
	})
}
