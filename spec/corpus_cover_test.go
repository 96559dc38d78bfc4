package spec

import (
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/tree"
)

// TestCorpusCoversTable: every key of the table stands in a good file, also those
// that are refused: their refusal is golden.
func TestCorpusCoversTable(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range goodFiles(t) {
		for _, root := range parsed(t, f) {
			occurrences(root, newSupport(), "", seen)
		}
	}
	for _, line := range supportTable() {
		path := line.path
		if same := asService(path); same != path && (seen[same] || slices.Contains(notInFiles(), same)) {
			continue // the same code makes both containers
		}
		if !seen[path] && !slices.Contains(notInFiles(), path) {
			t.Errorf("%s stands in no good file", path)
		}
	}
	for _, path := range notInFiles() {
		if seen[path] {
			t.Errorf("%s stands in a good file after all", path)
		}
	}
}

// notInFiles are lines for keys that compose-go's types have and its schema
// refuses in a file.
func notInFiles() []string {
	return []string{
		"services.*.net", "services.*.dockerfile", "services.*.log_driver", "services.*.log_opt", "services.*.volume_driver",
		"services.*.deploy.resources.reservations.pids", "services.*.deploy.resources.limits.devices",
		"services.*.deploy.resources.limits.generic_resources", "configs.*.driver", "configs.*.driver_opts",
	}
}

// parsed are the documents of a good file and of the files it includes.
func parsed(t *testing.T, path string) []*value {
	t.Helper()
	r := &report{}
	c := &composer{report: r, files: map[string]*file{}}
	f, ok := c.open(abs(t, path), place{})
	if !ok {
		t.Fatalf("cannot read %s", path)
	}
	docs, ok := parse(&origin{file: f}, r)
	if !ok {
		t.Fatalf("%s: %v", path, r.list)
	}
	var roots []*value
	for _, doc := range docs {
		roots = append(roots, doc.root)
	}
	return roots
}

// occurrences notes the lines of the table that the keys of v lead to.
func occurrences(v *value, n *supportNode, path string, seen map[string]bool) {
	note := func(name, step string, member *value) {
		next := n.step(name)
		if next == nil {
			return
		}
		if n.next[name] == nil {
			step = tree.PathMatchAll
		}
		below := strings.TrimPrefix(path+"."+step, ".")
		seen[below] = true
		occurrences(member, next, below, seen)
	}
	v.each(func(name string, member *value) { note(name, name, member) })
	if v.kind == sequence && n.next[tree.PathMatchList] != nil {
		for _, item := range v.items {
			occurrences(item, n.next[tree.PathMatchList], path+"."+tree.PathMatchList, seen)
		}
	}
}
