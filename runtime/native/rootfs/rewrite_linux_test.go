package rootfs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

// TestRewrite gives the files of running containers other contents.
func TestRewrite(t *testing.T) {
	for _, userNS := range []bool{false, true} {
		t.Run(fmt.Sprint("user namespace ", userNS), func(t *testing.T) {
			c := newContainer(t, userNS)
			c.overlayRoot(map[string]string{"etc/": "", "etc/passwd": "x"})
			c.setup.Mounts = standardMounts()
			c.setup.Files = []runtime.File{
				{Target: "/etc/conf", Content: []byte("one"), Mode: 0o440, UID: 33, GID: 34},
				{Target: "/same", Content: []byte("same"), Mode: 0o444},
			}
			c.build()
			namespace, err := os.Open("/proc/" + itoa(c.target.Pid) + "/ns/mnt")
			if err != nil {
				t.Fatal(err)
			}
			defer namespace.Close()
			var before unix.Stat_t
			path := "/proc/" + itoa(c.target.Pid) + "/root/etc/conf"
			if err := unix.Stat(path, &before); err != nil {
				t.Fatal(err)
			}
			long := strings.Repeat("x", 300<<10)
			for _, content := range []string{"two", long, "", "three"} {
				files := []runtime.File{{Target: "/etc/conf", Content: []byte(content)}, {Target: "/same", Content: []byte("same")}}
				changed, err := Rewrite(namespace, files)
				if err != nil || !slices.Equal(changed, []string{"/etc/conf"}) {
					t.Fatal(changed, err)
				}
				if got := c.read("/etc/conf"); got != content {
					t.Fatalf("it reads %.20q, want %.20q", got, content)
				}
			}
			var after unix.Stat_t
			if err := unix.Stat(path, &after); err != nil {
				t.Fatal(err)
			}
			if before.Uid != after.Uid || before.Gid != after.Gid || before.Mode != after.Mode {
				t.Errorf("owner and mode were %d:%d %o, are %d:%d %o", before.Uid, before.Gid, before.Mode, after.Uid, after.Gid, after.Mode)
			}
			c.refuse("write", "/etc/conf", unix.EROFS, unix.EACCES, unix.EPERM)
			if n := strings.Count(c.read("/proc/self/mountinfo"), " /etc/conf "); n != 1 {
				t.Errorf("%d mounts lie upon each other", n)
			}
			if changed, err := Rewrite(namespace, []runtime.File{{Target: "/etc/conf", Content: []byte("three")}}); err != nil || len(changed) > 0 {
				t.Error("the same content changed something:", changed, err)
			}
			// What is no file of ours is not touched, whatever the container put there.
			for _, target := range []string{"/etc/passwd", "/proc/keys", "/missing", "/proc/kcore"} {
				if changed, err := Rewrite(namespace, []runtime.File{{Target: target, Content: []byte("new")}}); err == nil || len(changed) > 0 {
					t.Errorf("%s was rewritten", target)
				}
			}
		})
	}
}

// TestBindWithoutLinks: a link in the source's path is refused where that was asked
// for, since somebody may have put it there a moment ago.
func TestBindWithoutLinks(t *testing.T) {
	c := newContainer(t, false)
	c.overlayRoot(map[string]string{"v/": ""})
	dir := c.layer("host", map[string]string{"real/file": "x", "link": "-> real"})
	bind := func(source string) []specs.Mount {
		return []specs.Mount{{Destination: "/v", Type: "bind", Source: dir + "/" + source, Options: []string{"rbind", "nosymlinks"}}}
	}
	c.setup.Mounts = bind("link")
	if _, err := c.tryBuild(); !errors.Is(err, unix.ELOOP) {
		t.Fatalf("a link was followed: %v", err)
	}
	d := newContainer(t, false)
	d.overlayRoot(map[string]string{"v/": ""})
	d.setup.Mounts = bind("real")
	d.build()
	if got := d.read("/v/file"); got != "x" {
		t.Errorf("it reads %q", got)
	}
}
