package runtimetest

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Busybox makes a root file system of the machine's static busybox in a
// temporary directory and skips the test where there is none.
func Busybox(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("busybox")
	if err != nil {
		Skip(t, "busybox is missing (Debian package busybox-static)")
	}
	list, err := exec.Command(program, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	// t.TempDir is private to root; ids of user namespaces must pass.
	for dir := root; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	for _, dir := range []string{"bin", "dev", "etc", "home", "proc", "sys", "tmp", "usr/bin", "var"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	copyFile(t, program, filepath.Join(root, "bin/busybox"), 0o755)
	for _, name := range strings.Fields(string(list)) {
		if name != "busybox" { // a link to itself would loop
			must(t, os.Symlink("busybox", filepath.Join(root, "bin", name)))
		}
	}
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n", 0o644)
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\nuser:x:1000:\n", 0o644)
	write(t, filepath.Join(root, "bin/denied"), "#!/bin/sh\n", 0o644)
	write(t, filepath.Join(root, "bin/garbage"), "\x01\x02\x03", 0o755)
	return root
}

func copyFile(t testing.TB, from, to string, mode os.FileMode) {
	t.Helper()
	in, err := os.Open(from)
	must(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, err)
	must(t, out.Close())
}

func write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), mode))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Skip skips the test, or fails it where STACK_TEST_STRICT=1 says that this
// machine has everything.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("STACK_TEST_STRICT") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
