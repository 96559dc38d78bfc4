package watch

import (
	"bufio"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// gitIgnore says what git would not track below a root. It reads .gitignore files as
// it comes to their directories, and never again: who watches begins anew when one
// changes.
type gitIgnore struct {
	top    string               // the repository's directory, that names are relative to
	prefix string               // of the root, below top
	read   map[string][]gitRule // by directory
	below  map[string]bool      // which directories are ignored
}

// newGitIgnore is nil where git has no say: a root that git ignores was named in
// spite of it.
func newGitIgnore(root string) *gitIgnore {
	g := &gitIgnore{top: Repository(root), read: map[string][]gitRule{}, below: map[string]bool{}}
	var err error
	if g.prefix, err = filepath.Rel(g.top, root); err != nil || g.prefix != "." && g.matches(g.prefix, true) {
		return nil
	}
	return g
}

// Repository is the nearest directory with a .git, or dir itself.
func Repository(dir string) string {
	for up := dir; ; up = filepath.Dir(up) {
		if _, err := os.Lstat(filepath.Join(up, ".git")); err == nil {
			return up
		}
		if up == filepath.Dir(up) {
			return dir
		}
	}
}

// ignores reports whether a name below the root is ignored, or a directory that it
// lies in: nothing in an ignored directory can be excepted.
func (g *gitIgnore) ignores(name string, dir bool) bool {
	return g != nil && g.matches(path.Join(g.prefix, name), dir)
}

// gitLock is the file that git keeps while it changes files of dir's repository.
func gitLock(dir string) string {
	top := Repository(dir)
	git := filepath.Join(top, ".git")
	if f, err := OpenRules(git); err == nil { // a further worktree's
		text, _ := io.ReadAll(f)
		f.Close()
		if to, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "gitdir: "); ok {
			git = to
			if !filepath.IsAbs(to) {
				git = filepath.Join(top, to)
			}
		}
	}
	return filepath.Join(git, "index.lock")
}

func (g *gitIgnore) matches(name string, dir bool) bool {
	up := path.Dir(name)
	if up != "." && g.directory(up) {
		return true
	}
	for from := up; ; from = path.Dir(from) {
		rules := g.rules(from)
		below := strings.TrimPrefix(name, from+"/")
		for n := len(rules) - 1; n >= 0; n-- {
			if rules[n].match(below, dir) {
				return !rules[n].not
			}
		}
		if from == "." {
			return false
		}
	}
}

// directory is matches for a directory, which is asked for each name in it.
func (g *gitIgnore) directory(name string) bool {
	ignored, known := g.below[name]
	if !known {
		ignored = g.matches(name, true)
		g.below[name] = ignored
	}
	return ignored
}

// rules are those of one directory's file. One that cannot be read has none, as for
// git.
func (g *gitIgnore) rules(dir string) []gitRule {
	rules, known := g.read[dir]
	if !known {
		if dir == "." {
			rules = readGitRules(filepath.Join(g.top, ".git/info/exclude"))
		}
		rules = append(rules, readGitRules(filepath.Join(g.top, dir, ".gitignore"))...)
		g.read[dir] = rules
	}
	return rules
}

func readGitRules(file string) []gitRule {
	f, err := OpenRules(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []gitRule
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rule, ok := parseGitRule(lines.Text()); ok {
			out = append(out, rule)
		}
	}
	return out
}
