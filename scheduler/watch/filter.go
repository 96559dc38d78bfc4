package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Patterns are in the syntax of .dockerignore, about names below Dir.
type Patterns struct {
	Dir   string
	Lines []string
}

// DockerIgnore reads what is no part of dir: from the first of files that exists, or
// else dir's .dockerignore. One that is missing ignores nothing.
func DockerIgnore(dir string, files ...string) (Patterns, error) {
	for _, file := range append(files, filepath.Join(dir, ".dockerignore")) {
		f, err := OpenRules(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Patterns{}, err
		}
		lines, err := ignorefile.ReadAll(f)
		f.Close()
		if err != nil {
			return Patterns{}, fmt.Errorf("cannot read %s: %w", file, err)
		}
		return Patterns{Dir: dir, Lines: lines}, nil
	}
	return Patterns{Dir: dir}, nil
}

// filter says what below a root is watched. Names are relative to the root.
type filter struct {
	ignore  []rules
	git     *gitIgnore                     // nil ignores nothing
	include *patternmatcher.PatternMatcher // nil includes all
}

// rules are patterns about names that begin with prefix.
type rules struct {
	prefix string
	match  *patternmatcher.PatternMatcher
}

func newFilter(root string, ignore []Patterns, include []string) (*filter, error) {
	f := &filter{}
	for _, p := range ignore {
		prefix, err := filepath.Rel(p.Dir, root)
		if err != nil || prefix == ".." || strings.HasPrefix(prefix, "../") || len(p.Lines) == 0 {
			continue // it is about other files
		}
		match, err := newMatcher(p.Lines)
		if err != nil {
			return nil, err
		}
		f.ignore = append(f.ignore, rules{prefix, match})
	}
	if len(include) == 0 {
		return f, nil
	}
	var err error
	f.include, err = newMatcher(include)
	return f, err
}

func newMatcher(lines []string) (*patternmatcher.PatternMatcher, error) {
	clean := slices.Clone(lines)
	for i, l := range clean {
		not := strings.HasPrefix(l, "!")
		l = strings.TrimPrefix(filepath.Clean(strings.TrimPrefix(l, "!")), "/")
		if not {
			l = "!" + l
		}
		clean[i] = l
	}
	m, err := patternmatcher.New(clean)
	if err != nil {
		return nil, fmt.Errorf("cannot read patterns %q: %w", lines, err)
	}
	return m, nil
}

// ignores reports whether name, or a directory that it lies in, is ignored.
func (f *filter) ignores(name string, dir bool) bool {
	if name == "." {
		return false
	}
	if passing(name) || f.git.ignores(name, dir) {
		return true
	}
	for _, r := range f.ignore {
		if ok, err := r.match.MatchesOrParentMatches(filepath.Join(r.prefix, name)); err == nil && ok {
			return true
		}
	}
	return false
}

// prunes reports whether nothing below the directory name can be wanted. An
// exception to the rules ("!") may be about anything below.
func (f *filter) prunes(name string, dir bool) bool {
	if name == "." {
		return false
	}
	if passing(name) || f.git.ignores(name, dir) {
		return true
	}
	for _, r := range f.ignore {
		full := filepath.Join(r.prefix, name)
		if ok, err := r.match.MatchesOrParentMatches(full); err == nil && ok && !excepted(r.match, full) {
			return true
		}
	}
	return false
}

// excepted reports whether an exception may be about something below dir.
func excepted(m *patternmatcher.PatternMatcher, dir string) bool {
	if !m.Exclusions() {
		return false
	}
	return slices.ContainsFunc(m.Patterns(), func(p *patternmatcher.Pattern) bool {
		if !p.Exclusion() {
			return false
		}
		text := strings.TrimPrefix(p.String(), "!")
		fixed, _, wild := strings.Cut(text, "*")
		return strings.HasPrefix(text, dir+"/") || wild && strings.HasPrefix(dir+"/", fixed)
	})
}

// includes reports whether a file is one of those asked for.
func (f *filter) includes(name string) bool {
	if f.include == nil {
		return true
	}
	ok, err := f.include.MatchesOrParentMatches(name)
	return err == nil && ok
}

// passing names are those that editors and version control keep for themselves,
// as in Docker Compose.
func passing(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == ".git", part == ".hg", part == ".svn", part == ".idea", part == ".DS_Store":
			return true
		}
	}
	base := filepath.Base(name)
	switch {
	case base == "4913": // vim asks whether it may write there
		return true
	case strings.HasSuffix(base, "~"), strings.HasPrefix(base, ".#"):
		return true
	case strings.HasPrefix(base, "#") && strings.HasSuffix(base, "#"):
		return true
	case strings.HasPrefix(base, ".goutputstream-"): // GLib's, until it is on the disk
		return true
	case strings.HasSuffix(base, "___jb_tmp___"), strings.HasSuffix(base, "___jb_old___"):
		return true
	}
	ext := filepath.Ext(base)
	return strings.HasPrefix(base, ".") && len(ext) == 4 && strings.HasPrefix(ext, ".sw")
}
