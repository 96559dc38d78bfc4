package spec

import (
	"path/filepath"
	"slices"
	"strings"
)

// File is one that a load read, or would have read if it were there.
type File struct {
	Path string
	// Real is where links led; empty when it is not there.
	Real string `json:",omitempty"`
}

// Within reports whether a path without links lies in the directory dir. Nothing
// lies within "/": a stack file there does not make the machine its folder.
func Within(dir, path string) bool {
	return dir != "/" && (path == dir || strings.HasPrefix(path, dir+"/"))
}

// Outside are the files, by where links led, that lie outside the stack's folder.
func (s *Stack) Outside() []string {
	home, err := filepath.EvalSymlinks(s.WorkingDir)
	if err != nil {
		home = s.WorkingDir
	}
	var out []string
	for _, f := range s.Files {
		if f.Real != "" && !Within(home, f.Real) {
			out = append(out, f.Real)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// located tells where the noted files lie.
func (r *report) located() []File {
	out := []File{}
	for path := range r.files {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			real = ""
		}
		out = append(out, File{Path: path, Real: real})
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// candidates notes the default names, in a directory that has one or may get one.
func (r *report) candidates(dir string, f family) {
	if !slices.ContainsFunc(f.names, func(name string) bool { return isFile(filepath.Join(dir, name)) }) {
		return
	}
	for _, name := range slices.Concat(f.names, f.overrides) {
		r.looks(filepath.Join(dir, name))
	}
}
