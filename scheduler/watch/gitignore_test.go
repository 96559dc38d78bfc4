package watch

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestGitRules(t *testing.T) {
	for rule, names := range map[string]map[string]bool{
		"*.log":        {"a.log": true, "d/a.log": true, "a.logs": false, ".log": true},
		"/dist":        {"dist": true, "d/dist": false},
		"a/b":          {"a/b": true, "d/a/b": false},
		"**/x/y":       {"x/y": true, "d/e/x/y": true, "dx/y": false},
		"a/**/z":       {"a/z": true, "a/b/z": true, "a/b/b/z": true, "az": false},
		"a/**":         {"a": false, "a/b": true, "a/b/c": true},
		"[a-c]?[!x-z]": {"b1w": true, "b1x": false, "d1w": false, "b/w": false},
		`\!x`:          {"!x": true, "x": false},
		`\#x`:          {"#x": true},
		`x\ `:          {"x ": true, "x": false},
		"x   ":         {"x": true},
		"[[:digit:]]*": {"1a": true, "a": false},
		"[]-]x":        {"]x": true, "-x": true, "ax": false},
		"a**b":         {"acb": true, "a/b": false},
		"foo/*":        {"foo/a": true, "foo/a/b": false},
		"über":         {"über": true, "d/über": true},
	} {
		r, ok := parseGitRule(rule)
		if !ok {
			t.Errorf("%q says nothing", rule)
			continue
		}
		for name, want := range names {
			if got := r.match(name, false); got != want {
				t.Errorf("%q matches %q: %v", rule, name, got)
			}
		}
	}
	for _, line := range []string{"", "# x", "/", "[a", `a\`, "   "} {
		if r, ok := parseGitRule(line); ok {
			t.Errorf("%q is the rule %v", line, r.pattern)
		}
	}
}

// TestGitIgnoreAgrees holds .gitignore files, nested and with exceptions, against git.
func TestGitIgnoreAgrees(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		skip(t, "skipped: git is not installed")
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 2))
	for round := range 25 {
		dir := t.TempDir()
		if out, err := exec.Command("git", "-C", dir, "init", "-q").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		ignores := gitTree(t, dir, random)
		var names []string
		want := map[string]bool{}
		filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			name, _ := filepath.Rel(dir, path)
			if d.IsDir() && name == ".git" {
				return filepath.SkipDir
			}
			if name != "." {
				names = append(names, name)
			}
			return err
		})
		cmd := exec.Command("git", "-C", dir, "check-ignore", "--no-index", "--stdin", "-z")
		cmd.Stdin = strings.NewReader(strings.Join(names, "\x00"))
		out, _ := cmd.Output() // 1 when nothing is ignored
		for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
			want[name] = true
		}
		g := newGitIgnore(dir)
		for _, name := range names {
			info, err := os.Lstat(filepath.Join(dir, name))
			must(t, err)
			if got := g.ignores(name, info.IsDir()); got != want[name] {
				t.Errorf("seed %d, round %d: %s: we say %v, git %v, of\n%s", seed, round, name, got, want[name], ignores)
			}
		}
	}
}

// gitTree makes files and .gitignore files at random, and tells the latter.
func gitTree(t *testing.T, dir string, r *rand.Rand) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	part := func() string {
		return pick("a", "b", "ab", "*", "a*", "?", "[ab]", "[!a]", "**", "*.c", "[^b-z]", `\a`)
	}
	for range 40 {
		parts := []string{dir}
		for range 1 + r.IntN(3) {
			parts = append(parts, pick("a", "b", "ab", "c", "a.c", "z"))
		}
		file := filepath.Join(parts...)
		os.MkdirAll(filepath.Dir(file), 0o755)
		os.WriteFile(file, nil, 0o644)
	}
	var all []string
	for _, at := range []string{"", "a", "b", "a/b", "ab"} {
		if info, err := os.Stat(filepath.Join(dir, at)); err != nil || !info.IsDir() || r.IntN(3) == 0 {
			continue
		}
		var lines []string
		for range 1 + r.IntN(4) {
			line := pick("", "", "!") + pick("", "", "/")
			for n := range 1 + r.IntN(3) {
				if n > 0 {
					line += "/"
				}
				line += part()
			}
			lines = append(lines, line+pick("", "", "/"))
		}
		text := strings.Join(lines, "\n") + "\n"
		must(t, os.WriteFile(filepath.Join(dir, at, ".gitignore"), []byte(text), 0o644))
		all = append(all, fmt.Sprintf("%s/.gitignore:\n%s", at, text))
	}
	return strings.Join(slices.Clone(all), "")
}

// TestGitIgnoredFolders are neither read nor watched; one that is named is.
func TestGitIgnoredFolders(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, ".git"), 0o755), os.MkdirAll(filepath.Join(dir, "web/node_modules/x/y"), 0o755),
		os.MkdirAll(filepath.Join(dir, "web/src/gen"), 0o755), os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("node_modules/\n*.tmp\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "web/src/.gitignore"), []byte("gen/\n!keep.tmp\n"), 0o644))
	w := start(t, dir, Options{Roots: []Root{{Path: filepath.Join(dir, "web"), Git: true}}})
	w.dir = filepath.Join(dir, "web")
	for _, path := range w.w.events.instance.events.WatchList() {
		if strings.Contains(path, "node_modules") || strings.HasSuffix(path, "gen") {
			t.Errorf("%s is watched", path)
		}
	}
	w.write("node_modules/x/f", "")
	w.write("src/a.tmp", "")
	w.write("src/gen/f", "")
	w.write("src/keep.tmp", "")
	w.until("+src/keep.tmp")
	named := start(t, dir, Options{Roots: []Root{{Path: filepath.Join(dir, "web/node_modules"), Git: true}}})
	named.dir = filepath.Join(dir, "web/node_modules")
	named.write("x/g", "")
	named.until("+x/g")
}
