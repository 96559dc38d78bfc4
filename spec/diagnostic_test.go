package spec

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/err/*.txt")

// testEnviron is what the files of testdata see.
var testEnviron = []string{"HOME=/home/tester", "TAG=1.27", "DB_PASSWORD=hunter2", "EMPTY="}

// TestDiagnostics loads each testdata/err/NAME.yaml and compares what Render
// prints with NAME.txt.
func TestDiagnostics(t *testing.T) {
	files, _ := filepath.Glob("testdata/err/*.yaml")
	if len(files) < 40 {
		t.Fatalf("only %d bad files", len(files))
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".yaml"), func(t *testing.T) {
			got := renderLoad(t, badOptions(t, f))
			golden := strings.TrimSuffix(f, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// badOptions are how a bad file is loaded: its first line may have a comment
// "# args: [-f FILE]... [--profile NAME]... [SERVICE]...".
func badOptions(t *testing.T, file string) Options {
	t.Helper()
	o := Options{Files: []string{file}, Project: "test", Environ: testEnviron}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	line, ok := strings.CutPrefix(first, "# args: ")
	if !ok {
		return o
	}
	words := strings.Fields(line)
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "-f":
			i++
			o.Files = append(o.Files, words[i])
		case "--profile":
			i++
			o.Profiles = append(o.Profiles, words[i])
		default:
			o.Services = append(o.Services, words[i])
		}
	}
	return o
}

// renderLoad is what a user sees of a load that fails.
func renderLoad(t *testing.T, o Options) string {
	t.Helper()
	_, err := Load(t.Context(), o)
	var ds Diagnostics
	if !errors.As(err, &ds) {
		t.Fatalf("Load: %v, want Diagnostics", err)
	}
	var b bytes.Buffer
	if err := ds.Render(&b, false); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), abs(t, ".")+"/", "")
}

func abs(t *testing.T, path string) string {
	t.Helper()
	p, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
