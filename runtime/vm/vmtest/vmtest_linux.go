package vmtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"stack/runtime/runtimetest"
	"stack/runtime/vm/kernel"
)

// Missing tells why machines cannot be tested here, or "". repo is the path of the
// repository.
func Missing(repo string) string {
	if _, err := os.Stat(filepath.Join(repo, ".cache", "kernel", "linux-image.deb")); err != nil {
		return "no kernel for virtual machines in .cache/kernel (make deps)"
	}
	for _, program := range []string{"qemu-system-x86_64", "dpkg", "mkfs.ext4", "xz"} {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is missing (make deps)"
		}
	}
	return ""
}

// Kernels gives a directory as package kernel keeps them, with Debian's kernel in it.
// It skips the test where there is none, or nothing to run it with.
func Kernels(t testing.TB, repo string) string {
	t.Helper()
	if reason := Missing(repo); reason != "" {
		runtimetest.Skip(t, reason)
	}
	repo, err := filepath.Abs(repo)
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(repo, ".cache", "kernel")
	deb := filepath.Join(cache, "linux-image.deb")
	defer lock(t, filepath.Join(cache, "unpack.lock"))()
	dir := filepath.Join(cache, "vm")
	if _, err := kernel.Find(dir, ""); err == nil && newer(filepath.Join(dir, "kernels", "default", "vmlinux"), deb) {
		return dir
	}
	if _, err := kernel.Unpack(context.Background(), dir, deb); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newer(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && x.ModTime().After(y.ModTime())
}

// Home is a directory of a machine runtime with that kernel.
func Home(t testing.TB, repo, dir string) {
	t.Helper()
	kernels := filepath.Join(Kernels(t, repo), "kernels")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(kernels, filepath.Join(dir, "kernels")); err != nil {
		t.Fatal(err)
	}
	known, here := filepath.Join(kernels, "kvm.json"), filepath.Join(dir, "kvm.json")
	if b, err := os.ReadFile(known); err == nil { // or each test tries for seconds
		if err := os.WriteFile(here, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Cleanup(func() {
		if b, err := os.ReadFile(here); err == nil {
			os.WriteFile(known, b, 0o600)
		}
	})
}

// Alone waits until no other test of this repository runs machines. It returns what
// lets the next one go on.
func Alone(t testing.TB, repo string) func() {
	t.Helper()
	return lock(t, filepath.Join(repo, ".cache", "kernel", "machines.lock"))
}

func lock(t testing.TB, path string) func() {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}
