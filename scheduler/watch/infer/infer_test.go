package infer

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/tools/txtar"
)

// TestInfer: each archive below testdata is a project; "want" has its rules.
func TestInfer(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			dir, want := extract(t, file)
			if got := inferred(t, dir); got != want {
				t.Errorf("inferred\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func extract(t *testing.T, file string) (dir, want string) {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, f := range a.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, want
}

// inferred are all services' rules as text.
func inferred(t *testing.T, dir string) string {
	t.Helper()
	details := types.ConfigDetails{WorkingDir: dir, ConfigFiles: types.ToConfigFiles([]string{filepath.Join(dir, "stack.yaml")})}
	p, err := loader.LoadWithContext(context.Background(), details, func(o *loader.Options) { o.SetProjectName("p", true) })
	if err != nil {
		t.Fatal(err)
	}
	p.ComposeFiles = []string{filepath.Join(dir, "stack.yaml")}
	var out strings.Builder
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		var explicit []string
		if s.Develop != nil {
			for _, w := range s.Develop.Watch {
				explicit = append(explicit, w.Path)
			}
		}
		rules, err := Rules(p, s, explicit)
		if err != nil {
			out.WriteString(name + ": " + strings.ReplaceAll(err.Error(), dir, "DIR") + "\n")
		}
		for _, r := range rules {
			line := name + ": " + r.String(p.WorkingDir)
			if len(r.Ignore) > 0 {
				line += " but " + strings.Join(r.Ignore, " ")
			}
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}
