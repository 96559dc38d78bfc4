package quota

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// quotaDir is a directory where quotas are enforced, and "" where they are not, which
// Check must tell. STACK_TEST_QUOTA says that they are.
func quotaDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := Check(filepath.Join(dir, "not", "there"))
	if err == nil {
		return dir
	}
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "prjquota") {
		t.Errorf("Check says %v", err)
	}
	if os.Getenv("STACK_TEST_QUOTA") != "" {
		t.Fatal(err)
	}
	if got := Limit(dir, 1<<20); !errors.Is(got, ErrUnsupported) {
		t.Errorf("Limit says %v", got)
	}
	if err := Release(dir); err != nil {
		t.Error(err)
	}
	t.Log("quotas are not enforced here; make test-v2 has a file system where they are")
	return ""
}

func write(dir string, size int) error {
	return os.WriteFile(filepath.Join(dir, "file"), bytes.Repeat([]byte("x"), size), 0o600)
}

func TestLimit(t *testing.T) {
	top := quotaDir(t)
	if top == "" {
		return
	}
	a, b := filepath.Join(top, "a"), filepath.Join(top, "b")
	for _, dir := range []string{a, b, a} { // repeating it changes nothing
		if err := Limit(dir, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	below := filepath.Join(a, "below")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	withoutResource(t, func() {
		if err := write(below, 2<<20); !errors.Is(err, unix.EDQUOT) && !errors.Is(err, unix.ENOSPC) {
			t.Errorf("2 MiB into 1: %v", err)
		}
		if err := write(b, 1<<19); err != nil {
			t.Errorf("the other directory: %v", err)
		}
	})

	f, err := os.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	id, err := project(f)
	f.Close() // or what it holds is not freed
	if err != nil || !isOurs(id, 0) {
		t.Fatalf("project %d, %v", id, err)
	}
	if err := errors.Join(Release(a), Release(a), os.RemoveAll(a), Release(a), Release(b)); err != nil {
		t.Fatal(err)
	}
	above, err := os.Open(top)
	if err != nil {
		t.Fatal(err)
	}
	defer above.Close()
	if used, err := isUsed(above, id); used || err != nil {
		t.Errorf("project %d is still used: %v", id, err)
	}
}

// What a directory inherited is not its own: a limit inside a limited tree has another
// id, and its release leaves the outer one alone.
func TestNested(t *testing.T) {
	top := quotaDir(t)
	if top == "" {
		return
	}
	outer, inner := filepath.Join(top, "outer"), filepath.Join(top, "outer", "inner")
	if err := errors.Join(Limit(outer, 1<<20), Limit(inner, 4<<20)); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(outer, "plain")
	if err := os.Mkdir(plain, 0o700); err != nil {
		t.Fatal(err)
	}
	ids := map[string]uint32{}
	for _, dir := range []string{outer, inner, plain} {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if ids[dir], err = project(f); err != nil {
			t.Fatal(err)
		}
	}
	if ids[outer] == ids[inner] || ids[plain] != ids[outer] {
		t.Errorf("ids %v", ids)
	}
	if err := errors.Join(Release(plain), Release(inner)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(outer)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if used, err := isUsed(f, ids[outer]); !used || err != nil {
		t.Errorf("the outer limit went, too: %v", err)
	}
	if err := Release(outer); err != nil {
		t.Fatal(err)
	}
}

func TestIDs(t *testing.T) {
	for _, inode := range []uint64{0, 2, 1<<30 - 1, 1 << 30, 1<<32 - 1, 1 << 40, 1<<64 - 1} {
		id := idFor(inode)
		for range 3 {
			if !isOurs(id, 0) || isOurs(id, id) {
				t.Errorf("inode %d: id %d", inode, id)
			}
			id = nextID(id)
		}
	}
	if idFor(2) == idFor(2+1<<32) || nextID(lastID) != firstID || isOurs(firstID-1, 0) {
		t.Error("ids overlap")
	}
}

// withoutResource runs f on a thread without CAP_SYS_RESOURCE, whose holders no limit
// binds. The thread ends with it.
func withoutResource(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		err := unix.Capget(&header, &data[0])
		data[0].Effective &^= 1 << unix.CAP_SYS_RESOURCE
		if err == nil {
			err = unix.Capset(&header, &data[0])
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
