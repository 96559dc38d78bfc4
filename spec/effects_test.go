package spec

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/tree"
	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"
)

// TestEffectsAreShown matches the table with the end-to-end scripts: what the table
// says is honoured is seen to do what it says, inside a container or on the host.
// A script tells so in comments right above the commands that show it:
//
//	# shows: services.*.cap_add services.*.cap_drop
//
// A key is shown as well by any key below it, and that of a pre_start hook or a job
// by that of a service: the same code makes their containers. What a script shows must stand
// in one of its own stack files.
func TestEffectsAreShown(t *testing.T) {
	shown := map[string]bool{}
	scripts, err := filepath.Glob(filepath.Join("..", "cmd", "stack", "testdata", "script", "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range scripts {
		s := readEffects(t, file)
		for _, key := range s.shown {
			if !s.has(key) {
				t.Errorf("%s: shows %s, which stands in none of its files", filepath.Base(file), key)
			}
			shown[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(shown)) {
		if line := lineOf(key); line == nil || line.standing != honoured {
			t.Errorf("%s is shown, but the table does not honour it", key)
		}
	}
	for _, line := range supportTable() {
		if line.standing == honoured && !isShown(line.path, shown) && !onlyParent(line.path) {
			t.Errorf("%s is honoured, but no script shows what it does", line.path)
		}
	}
}

func lineOf(key string) *support {
	n := newSupport()
	for part := range strings.SplitSeq(key, ".") {
		if n = n.next[part]; n == nil {
			return nil
		}
	}
	return n.line
}

// onlyParent says that a key is nothing but the place of keys that are not honoured.
func onlyParent(key string) bool {
	below := 0
	for _, line := range supportTable() {
		if strings.HasPrefix(line.path, key+".") {
			if line.standing == honoured {
				return false
			}
			below++
		}
	}
	return below > 0
}

func isShown(key string, shown map[string]bool) bool {
	if same := asService(key); same != key && isShown(same, shown) {
		return true
	}
	for s := range shown {
		if s == key || strings.HasPrefix(s, key+".") {
			return true
		}
	}
	return false
}

// effects are the keys that a script shows, and its files as trees.
type effects struct {
	shown []string
	files []any
}

func readEffects(t *testing.T, file string) effects {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var e effects
	pending := false
	for line := range strings.Lines(string(a.Comment)) {
		line = strings.TrimSpace(line)
		list, ok := strings.CutPrefix(line, "# shows: ")
		switch {
		case ok:
			e.shown = append(e.shown, strings.Fields(list)...)
			pending = true
		case line == "" && pending:
			t.Errorf("%s: no command follows %q", filepath.Base(file), e.shown[len(e.shown)-1])
		case !strings.HasPrefix(line, "#"):
			pending = false
		}
	}
	for _, f := range a.Files {
		var v any
		if strings.HasSuffix(f.Name, ".yaml") && yaml.Unmarshal(f.Data, &v) == nil {
			e.files = append(e.files, v)
		}
	}
	return e
}

func (e effects) has(key string) bool {
	return slices.ContainsFunc(e.files, func(v any) bool { return stands(v, strings.Split(key, ".")) })
}

// stands reports whether a path with wildcards leads somewhere in a tree.
func stands(v any, path []string) bool {
	if len(path) == 0 {
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		for name, below := range v {
			if (path[0] == tree.PathMatchAll || path[0] == name) && stands(below, path[1:]) {
				return true
			}
		}
	case []any:
		return path[0] == tree.PathMatchList && slices.ContainsFunc(v, func(item any) bool { return stands(item, path[1:]) })
	}
	return false
}
