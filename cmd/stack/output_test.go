package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestWriteOutputKeepsWhatIsNoFile: a link's target is written, the link stays; what
// fails leaves what was there.
func TestWriteOutputKeepsWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	a := newApp()
	say := func(text string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
	}
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(a.writeOutput(file, say("first")), os.Symlink(file, link), a.writeOutput(link, say("2nd"))); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link became %v: %v", st, err)
	}
	broken := errors.New("broken")
	if err := a.writeOutput(file, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "2nd" {
		t.Errorf("%q: %v", text, err)
	}
	if err := a.writeOutput(os.DevNull, say("gone")); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(os.DevNull); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		t.Fatalf("%s became %v: %v", os.DevNull, st.Mode(), err)
	}
	if err := a.writeOutput(dir, say("no")); err == nil {
		t.Error("a directory was written")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".stack-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
