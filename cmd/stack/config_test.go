package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"

	"stack/spec"
)

// inCorpus stands in the folder of the good files of spec and gives those that
// `config` prints.
func inCorpus(t *testing.T) []string {
	t.Helper()
	for _, v := range []string{"HOME=/home/tester", "TAG=1.27", "DB_PASSWORD=hunter2", "EMPTY="} {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	t.Chdir("../../spec/testdata/good")
	logrus.SetOutput(io.Discard) // as main does
	t.Cleanup(func() { logrus.SetOutput(os.Stderr) })
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files to print: %v", len(files), err)
	}
	return files
}

// printed is what a command line prints.
func printed(t *testing.T, args ...string) []byte {
	t.Helper()
	var out, said bytes.Buffer
	a := newApp()
	a.stdout, a.stderr = &out, &said
	if code := run(t.Context(), a, args); code != 0 {
		t.Fatalf("stack %v: exit code %d\n%s", args, code, said.String())
	}
	return out.Bytes()
}

// TestConfigReadsBack: what config prints of a file loads as the same project, and
// prints the same again.
func TestConfigReadsBack(t *testing.T) {
	files := inCorpus(t)
	for _, format := range []string{"yaml", "json"} {
		for _, f := range files {
			first := printed(t, "-f", f, "config", "--format", format)
			copied := filepath.Join(t.TempDir(), "copy.yaml")
			if err := os.WriteFile(copied, first, 0o600); err != nil {
				t.Fatal(err)
			}
			again := printed(t, "-f", copied, "--project-directory", ".", "config", "--format", format)
			if !bytes.Equal(first, again) {
				t.Errorf("%s: what was printed first prints otherwise:\n%s", f, firstChange(first, again))
			}
			if d := difference(loaded(t, f), loaded(t, copied), ""); len(d) > 0 {
				t.Errorf("%s: the projects differ: %s", f, strings.Join(d, "\n"))
			}
		}
	}
}

func firstChange(a, b []byte) string {
	y := strings.Split(string(b), "\n")
	for i, line := range strings.Split(string(a), "\n") {
		if i >= len(y) || line != y[i] {
			return fmt.Sprintf("line %d: %s\n%s", i+1, line, strings.Join(y[min(i, len(y)):min(i+1, len(y))], ""))
		}
	}
	return "it is longer"
}

// loaded is a file's project as JSON has it, with the contents of secrets.
func loaded(t *testing.T, file string) any {
	t.Helper()
	st, err := spec.Load(t.Context(), spec.Options{Files: []string{file}, Dir: ".", Environ: os.Environ(), Unsupported: true})
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	p := (&configOptions{}).needed(st.Project)
	return plainJSON(t, map[string]any{
		"project": p, "contents": contents(p.Secrets), "configs": contents(p.Configs), "name": p.Name, "in": p.WorkingDir,
	})
}

func contents[M ~map[string]T, T types.SecretConfig | types.ConfigObjConfig](all M) map[string]string {
	out := map[string]string{}
	for name, v := range all {
		out[name] = types.FileObjectConfig(v).Content
	}
	return out
}

func plainJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// difference lists where two JSON values are not equal.
func difference(a, b any, path string) []string {
	x, ok1 := a.(map[string]any)
	y, ok2 := b.(map[string]any)
	if !ok1 || !ok2 {
		if reflect.DeepEqual(a, b) {
			return nil
		}
		return []string{fmt.Sprintf("%s: %v, and %v", path, a, b)}
	}
	var out []string
	for name := range x {
		out = append(out, difference(x[name], y[name], path+"."+name)...)
	}
	for name := range y {
		if _, ok := x[name]; !ok {
			out = append(out, difference(nil, y[name], path+"."+name)...)
		}
	}
	return out
}
