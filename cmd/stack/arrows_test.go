package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows says which of our packages each package may import; a rule covers its
// sub-packages unless they have one of their own.
var arrows = map[string][]string{
	"cmd/stack":           {"*"},
	"cmd/stack-shim":      {"runtime/native", "runtime/shim", "runtime/log", "runtime/oci", "runtime/external/parent", "runtime/vm/guest", "runtime/vm/monitor"},
	"cmd/stack-build":     {"*"},
	"cmd/stackbench":      {},
	"spec":                {},
	"scheduler":           {"spec", "runtime", "netns", "scheduler/watch"},
	"scheduler/watch":     {"spec"},
	"scheduler/api":       {"scheduler"},
	"scheduler/inspect":   {"scheduler", "netns", "runtime/image"},
	"runtime":             {},
	"runtime/flock":       {},
	"runtime/statedir":    {"runtime", "runtime/flock"},
	"runtime/native":      {"runtime", "runtime/statedir"},
	"runtime/oci":         {"runtime", "runtime/native", "runtime/native/ps"},
	"runtime/external":    {"runtime", "runtime/statedir"},
	"runtime/vm":          {"runtime", "runtime/statedir", "runtime/vm/wire", "runtime/vm/monitor", "runtime/vm/kernel"},
	"runtime/vm/wire":     {"runtime"},
	"runtime/vm/monitor":  {"runtime", "runtime/vm/wire"},
	"runtime/vm/guest":    {"runtime", "runtime/native/ps", "runtime/native/transfer", "runtime/vm/wire"},
	"runtime/vm/kernel":   {},
	"runtime/vm/vmtest":   {"runtime/runtimetest", "runtime/vm/kernel"},
	"runtime/runtimetest": {"runtime"},
	"runtime/shim":        {"runtime", "runtime/log", "runtime/flock"},
	"runtime/log":         {},
	"runtime/image":       {"runtime", "runtime/flock"},
	"runtime/build":       {"runtime", "runtime/flock", "runtime/image", "runtime/image/registry"},
	"netns":               {"netns/dns"},
	"netns/dns":           {},
}

// rooms are kernel libraries and the only packages that may import them.
var rooms = map[string][]string{
	"github.com/vishvananda/netlink":   {"netns", "cmd/stackbench"},
	"github.com/vishvananda/netns":     {"netns", "cmd/stackbench"},
	"github.com/google/nftables":       {"netns"},
	"github.com/cilium/ebpf":           {"netns"},
	"github.com/containerd/cgroups/v3": {"runtime/native"},
	// 3 ms and 7 MB in every process that links it.
	"github.com/moby/buildkit": {"runtime/build/builder", "runtime/build/solve", "cmd/stack-build", "scheduler/watch/infer"},
	"golang.org/x/sys/unix":    {"runtime", "netns", "cmd/stackbench"},
}

func TestArrows(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata" || d.Name() == "rootfs" && strings.Contains(path, "examples")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		pkg, _ := filepath.Rel(root, filepath.Dir(path))
		checkImports(t, pkg, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImports(t *testing.T, pkg, path string) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range f.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		if ours, ok := strings.CutPrefix(name, "stack/"); ok && !allowed(pkg, ours) {
			t.Errorf("%s: %s may not import %s", path, pkg, name)
		}
		for lib, owners := range rooms {
			if (name == lib || strings.HasPrefix(name, lib+"/")) && !slices.ContainsFunc(owners, func(o string) bool { return within(pkg, o) }) {
				t.Errorf("%s: %s is not a room for %s", path, pkg, lib)
			}
			if (name == lib || strings.HasPrefix(name, lib+"/")) && ofKernel(lib) && pkg != "cmd/stackbench" && !strings.HasSuffix(path, "_linux.go") {
				t.Errorf("%s: %s stays in _linux.go files", path, lib)
			}
		}
	}
}

// ofKernel says that a library is the kernel's face: only _linux.go files import it.
func ofKernel(lib string) bool {
	return lib == "golang.org/x/sys/unix" || strings.HasPrefix(lib, "github.com/vishvananda/") || lib == "github.com/google/nftables"
}

// allowed applies the rule of the nearest package above pkg; a package may always
// import its own sub-packages' siblings below the same rule.
func allowed(pkg, ours string) bool {
	rule := pkg
	for arrows[rule] == nil && rule != "." {
		rule = filepath.Dir(rule)
	}
	if within(ours, rule) && rule != "runtime" && rule != "netns" && rule != "scheduler" {
		return true
	}
	for _, ok := range arrows[rule] {
		if ok == "*" || ok == ours || rule == "scheduler" && within(ours, ok) {
			return true
		}
	}
	return false
}

func within(pkg, root string) bool { return pkg == root || strings.HasPrefix(pkg, root+"/") }

// TestTopLevel keeps the repository's front page as it was agreed.
func TestTopLevel(t *testing.T) {
	want := []string{"cmd", "examples", "go.mod", "go.sum", "LICENSE", "Makefile", "netns", "README.md", "runtime", "scheduler", "spec"}
	entries, err := os.ReadDir(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if n := e.Name(); !strings.HasPrefix(n, ".") && n != "bin" && !slices.Contains(want, n) {
			t.Errorf("%s is visible at the top level and not in the plan", n)
		}
	}
}
