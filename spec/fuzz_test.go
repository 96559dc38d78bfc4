package spec

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzLoad: whatever the file holds, Load ends soon, does not panic, and gives a
// stack that can be hashed, encoded and decoded, or diagnostics that can be shown.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/err/*.yaml", "testdata/good/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		hang := time.AfterFunc(30*time.Second, func() { panic("Load hangs on " + text) })
		defer hang.Stop()
		o := Options{Files: []string{"-"}, Dir: dir, Project: "fuzz", Environ: testEnviron}
		o.Stdin = strings.NewReader(text)
		s, err := Load(t.Context(), o)
		o.Stdin = strings.NewReader(text)
		if _, checked := Check(t.Context(), o); (err == nil) != (checked == nil) {
			t.Errorf("Load says %v, Check %v", err, checked)
		}
		if err != nil {
			checkDiagnostics(t, err)
			checkOurs(t, text, err)
			return
		}
		back := roundTrip(t, s)
		for name := range s.AllServices() {
			a, err1 := s.Hash(name)
			b, err2 := back.Hash(name)
			if a != b || err1 != nil || err2 != nil {
				t.Errorf("hash of %q: %s, decoded %s (%v, %v)", name, a, b, err1, err2)
			}
			if s.At("services", name).Line == 0 {
				t.Errorf("service %q has no place", name)
			}
		}
	})
}

// checkOurs: what is wrong with one document that refers to no other is found by
// our rules, which know the place.
func checkOurs(t *testing.T, text string, err error) {
	for _, word := range []string{"extends", "include", "---", "..."} {
		if strings.Contains(text, word) {
			return
		}
	}
	for _, d := range err.(Diagnostics) {
		if d.Rule == "compose" {
			t.Errorf("found by compose-go only: %s", d)
		}
	}
}

func checkDiagnostics(t *testing.T, err error) {
	var ds Diagnostics
	if !errors.As(err, &ds) || !ds.Failed() {
		t.Fatalf("not diagnostics: %v", err)
	}
	if err := ds.Render(io.Discard, true); err != nil {
		t.Error(err)
	}
	for _, d := range ds {
		if d.Rule == "" || d.Message == "" || strings.ContainsAny(d.String(), "\n\x1b") {
			t.Errorf("bad diagnostic %#v", d)
		}
		if strings.Contains(d.Message, "internal error") {
			t.Errorf("panic in a library: %s", d.Message)
		}
	}
}
