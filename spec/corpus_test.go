package spec

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus loads every good file but those whose golden diagnostics refuse them,
// which TestGoodFiles holds to be right.
func corpus(t testing.TB) map[string]*Stack {
	t.Helper()
	stacks := map[string]*Stack{}
	for _, f := range goodFiles(t) {
		s, err := Load(t.Context(), goodOptions(f))
		if err != nil {
			if golden, _ := goldenDiagnostics(f); golden == "" {
				t.Errorf("%s:\n%v", f, err)
			}
			continue
		}
		stacks[filepath.Base(f)] = s
	}
	if len(stacks) < 60 {
		t.Fatalf("only %d good files load", len(stacks))
	}
	return stacks
}

func goodFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) < 70 {
		t.Fatalf("only %d good files (%v)", len(files), err)
	}
	return files
}

func goodOptions(file string) Options {
	return Options{Files: []string{file}, Environ: testEnviron}
}

// goldenDiagnostics are what is said of a good file that uses keys which do
// nothing yet; none for most.
func goldenDiagnostics(file string) (string, error) {
	text, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".txt")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// TestGoodFiles: nothing is said of a good file but that keys of it are not built
// yet, or do nothing on one Linux machine.
func TestGoodFiles(t *testing.T) {
	for _, f := range goodFiles(t) {
		s, err := Load(t.Context(), goodOptions(f))
		var found Diagnostics
		if err == nil {
			found = s.Warnings
		} else if !errors.As(err, &found) {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := found.Render(&b, false); err != nil {
			t.Fatal(err)
		}
		for _, d := range found {
			if d.Rule != "unsupported" && d.Rule != "ignored-key" {
				t.Errorf("%s: not a matter of support: %s", f, d)
			}
		}
		if *update {
			updateGolden(t, strings.TrimSuffix(f, ".yaml")+".txt", b.String())
		}
		if want, err := goldenDiagnostics(f); b.String() != want || err != nil {
			t.Errorf("%s: got\n%s\nwant\n%s(%v; go test ./spec -run TestGoodFiles -update writes it)", f, b.String(), want, err)
		}
	}
}

// updateGolden writes text, or removes the file when there is none.
func updateGolden(t *testing.T, path, text string) {
	t.Helper()
	var err error
	if text != "" {
		err = os.WriteFile(path, []byte(text), 0o644)
	} else if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		t.Fatal(err)
	}
}
