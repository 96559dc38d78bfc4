package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestIDMapProbe(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var p IDMapProbe
	for range 2 { // asked, then remembered
		for _, path := range []string{"/proc", "/sys", "/dev", "/proc/self/status"} {
			if err := p.Try(path); !errors.Is(err, ErrNoIDMap) {
				t.Errorf("%s: got %v", path, err)
			}
		}
		for _, path := range []string{dir, file} {
			if err := p.Try(path); err != nil {
				t.Errorf("%s: got %v", path, err)
			}
		}
	}
	if err := p.Try(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
