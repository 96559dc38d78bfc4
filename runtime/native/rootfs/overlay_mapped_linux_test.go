package rootfs

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// What a build writes has the container's ids on disk, as layers have: in its root
// and in an overlay among its mounts.
func TestMappedUpper(t *testing.T) {
	for name, old := range map[string]bool{"now": false, "old kernel": true} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, userNS bool) {
				c := newContainer(t, userNS)
				c.setup.oldKernel = old
				c.overlayRoot(map[string]string{"a": "image", "gone": ""})
				c.setup.Root.Mapped = true
				upper, more := snapshotDir(t, c, "root"), snapshotDir(t, c, "mount")
				c.setup.Root.Upper, c.setup.Root.Work = upper+"/fs", upper+"/work"
				c.setup.Mounts = append(standardMounts(), specs.Mount{Destination: "/mnt", Type: "overlay", Options: []string{
					"lowerdir+=" + c.layer("lower", map[string]string{"b": ""}), "upperdir=" + more + "/fs", "workdir=" + more + "/work"}})
				if r := c.build(); len(r.Warnings) > 0 {
					t.Errorf("warnings: %q", r.Warnings)
				}
				for _, name := range []string{"/a", "/new", "/mnt/b", "/mnt/new"} {
					c.must("write", name, "mine")
				}
				for _, name := range []string{upper + "/fs/a", upper + "/fs/new", more + "/fs/b", more + "/fs/new"} {
					checkOwner(t, name)
				}
			})
		})
	}
}

func snapshotDir(t *testing.T, c *container, name string) string {
	dir := filepath.Join(c.dir, "snapshots", name)
	for _, sub := range []string{"fs", "work"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func checkOwner(t *testing.T, name string) {
	t.Helper()
	st, err := os.Stat(name)
	if err != nil {
		t.Error(err)
	} else if sys := st.Sys().(*syscall.Stat_t); sys.Uid != 0 || sys.Gid != 0 {
		t.Errorf("%s belongs to %d:%d on disk", name, sys.Uid, sys.Gid)
	}
	if data, _ := os.ReadFile(name); string(data) != "mine" {
		t.Errorf("%s has %q", name, data)
	}
}
