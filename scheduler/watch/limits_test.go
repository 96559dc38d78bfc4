package watch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limited runs the calling test once more in a user namespace of its own, where
// limit is value; false in that run.
func limited(t *testing.T, limit, value string) bool {
	t.Helper()
	if os.Getenv("STACK_WATCH_LIMITED") != "" {
		file := filepath.Join("/proc/sys/user", limit)
		if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
		return false
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), "STACK_WATCH_LIMITED=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("in a user namespace: %v\n%s", err, out)
	}
	return true
}

// TestNoWatchesLeft: what inotify refuses is found by looking, and the limit is named.
func TestNoWatchesLeft(t *testing.T) {
	if limited(t, "max_inotify_watches", "10") {
		return
	}
	dir := t.TempDir()
	for n := range 20 {
		must(t, os.MkdirAll(filepath.Join(dir, fmt.Sprint("d", n)), 0o755))
	}
	var warned []string
	w := start(t, dir, Options{Roots: []Root{{Path: dir}}, Warn: func(s string) { warned = append(warned, s) }})
	if len(warned) != 1 || !strings.Contains(warned[0], "max_user_watches") || !w.w.Polls() {
		t.Errorf("warned %q", warned)
	}
	w.write("d19/f", "x")
	w.until("+d19/f")
	w.write("d19/f", "longer")
	w.until("+d19/f")
}

// TestWatchesRunOut while it watches: a folder too many comes.
func TestWatchesRunOut(t *testing.T) {
	if limited(t, "max_inotify_watches", "5") {
		return
	}
	dir := t.TempDir()
	warned := make(chan string, 2)
	w := start(t, dir, Options{Roots: []Root{{Path: dir}}, Warn: func(s string) { warned <- s }})
	if w.w.Polls() {
		t.Fatal("it polls at once")
	}
	for n := range 8 {
		w.write(fmt.Sprintf("d%d/f", n), "x")
	}
	if text := <-warned; !strings.Contains(text, "max_user_watches") {
		t.Errorf("warned %q", text)
	}
	time.Sleep(10 * quiet) // the first changes may be told by now
	w.write("d7/late", "x")
	for {
		for _, c := range w.next().Changes {
			if c.Path == "d7/late" {
				return
			}
		}
	}
}

// TestNoInstancesLeft: likewise.
func TestNoInstancesLeft(t *testing.T) {
	if limited(t, "max_inotify_instances", "0") {
		return
	}
	dir := t.TempDir()
	warned := ""
	w := start(t, dir, Options{Roots: []Root{{Path: dir}}, Warn: func(s string) { warned = s }})
	if !strings.Contains(warned, "max_user_instances") || !w.w.Polls() {
		t.Errorf("warned %q", warned)
	}
	w.write("f", "x")
	w.until("+f")
}

// TestOverlay: what changes below an overlay is seen as well, though inotify on the
// overlay does not tell.
func TestOverlay(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "skipped: needs root")
	}
	dir := t.TempDir()
	part := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		must(t, os.Mkdir(part(name), 0o755))
	}
	must(t, os.WriteFile(part("lower/f"), []byte("x"), 0o644))
	options := "lowerdir=" + part("lower") + ",upperdir=" + part("upper") + ",workdir=" + part("work")
	if err := syscall.Mount("overlay", part("merged"), "overlay", 0, options); err != nil {
		skip(t, "skipped: no overlay here: "+err.Error())
	}
	t.Cleanup(func() { syscall.Unmount(part("merged"), syscall.MNT_DETACH) })
	w := start(t, part("merged"), Options{})
	if w.w.Polls() {
		t.Error("changes through the overlay are seen late")
	}
	w.write("g", "told")
	w.until("+g")
	must(t, os.WriteFile(part("lower/f"), []byte("not told"), 0o644))
	w.until("+f")
}

// skip is a failure where everything must be tried.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("STACK_TEST_STRICT") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}
