package spec

import (
	"fmt"
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

// Home is the stack's folder, without links.
func (s *Stack) Home() string {
	if home, err := filepath.EvalSymlinks(s.WorkingDir); err == nil {
		return home
	}
	return s.WorkingDir
}

// Outside are the files, by where links led, that lie outside the stack's folder.
func (s *Stack) Outside() []string {
	home := s.Home()
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

// willBe is where a path leads, or what is missing of it will be made.
func willBe(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err == nil || path == "/" || path == "." {
		return real
	}
	return filepath.Join(willBe(filepath.Dir(path)), filepath.Base(path))
}

// Leads tells where a source of the machine lies now, without links. It must be where it was when
// the stack was loaded, or in the stack's folder: who can write that could have put a
// link there. One that nobody noted, because nobody notes or because it is an earlier
// configuration's, is taken as it is outside of the folder.
func Leads(home string, sources []File, source string) (real string, err error) {
	at := slices.IndexFunc(sources, func(f File) bool { return f.Path == source })
	if at < 0 && (sources == nil || !Within(home, source)) {
		return "", nil
	}
	if real, err = filepath.EvalSymlinks(source); err != nil {
		return "", err
	}
	if dir, err := filepath.EvalSymlinks(home); at >= 0 && real == sources[at].Real || err == nil && Within(dir, real) {
		return real, nil
	}
	return "", fmt.Errorf("%s leads to %s, outside the stack's folder, which it did not when the stack was brought up: run `stack up` if that is right", source, real)
}
