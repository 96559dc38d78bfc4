package native

import (
	"os"
	"testing"
)

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	f := Probe(dir, dir)
	if f.Kernel == "" || !f.KernelAtLeast(2, 6) || f.KernelAtLeast(99, 0) {
		t.Errorf("kernel %q", f.Kernel)
	}
	if f.Size == 0 || f.FileSystemErr != nil || TotalMemory() == 0 {
		t.Errorf("disk %d of %d (%v), memory %d", f.Free, f.Size, f.FileSystemErr, TotalMemory())
	}
	if f.UserNS == nil {
		if _, tried := f.IDMap[dir]; !tried {
			t.Error("id-mapped mounts were not tried")
		}
	}
	if os.Geteuid() == 0 && !f.SysAdmin {
		t.Skip("skipped: root without CAP_SYS_ADMIN")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
