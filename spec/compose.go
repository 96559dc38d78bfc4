package spec

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// composer reads the files of a stack, with includes and extends, into one tree
// with positions. compose-go reads the same files for the project itself; this
// is what the diagnostics stand on.
type composer struct {
	report *report
	casts  *castNode
	files  map[string]*file
	// includes are trees composed already, by scope.key.
	includes map[string]*value
	// partial is set as soon as a file could not be read or parsed: references
	// into it cannot be judged.
	partial bool
	// composed is set when anything was merged: compose-go must judge the result.
	composed bool
	opts     Options
}

// scope is what the files of the stack, or of one include, share.
type scope struct {
	dir string
	env types.Mapping
	// chain are the including files, outermost first.
	chain []string
}

// compose reads files into one tree, later ones on top.
func (c *composer) compose(s scope, files []*file) *value {
	merged := newMapping(place{})
	first := true
	for _, f := range files {
		from := &origin{file: f, dir: s.dir}
		docs, ok := parse(from, c.report)
		if !ok {
			c.partial = true
		}
		for _, doc := range docs {
			merged = c.document(s, doc, merged, !first)
			first = false
		}
	}
	return merged
}

func (c *composer) document(s scope, doc document, merged *value, override bool) *value {
	cfg := doc.root
	c.composed = c.composed || override
	c.interpolate(s, cfg)
	c.validate(cfg, nil, override)
	included := s
	included.chain = append(append([]string{}, s.chain...), cfg.at.from.file.path)
	c.include(included, cfg)
	merged.without(doc.resets)
	c.extend(s, cfg, doc.resets)
	if merged.at.from == nil {
		merged.at = cfg.at
	}
	return joiner{c.report}.merge(merged, cfg, nil)
}

func (c *composer) interpolate(s scope, v *value) {
	if c.opts.NoInterpolate {
		return
	}
	in := interpolator{report: c.report, env: s.env, casts: c.casts}
	in.tree(v)
}

// open reads a file once; problems are reported at the place that asked for it.
func (c *composer) open(path string, at place) (*file, bool) {
	if f, ok := c.files[path]; ok {
		return f, f != nil
	}
	c.report.looks(path)
	err := readable(path)
	var text []byte
	if err == nil {
		text, err = readFile(path, nil)
	}
	if err != nil {
		c.report.add(at, "file", fmt.Sprintf("stack file %s %v", shown(path), err), "")
		c.files[path], c.partial = nil, true
		return nil, false
	}
	f := &file{path: path, name: shown(path), text: text}
	c.files[path] = f
	return f, true
}

// absolute resolves a path as written in a stack file.
func absolute(dir, path, home string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	return filepath.Clean(Absolute(dir, path))
}

// Absolute is a path that starts from dir, unless it is absolute, as it is written.
func Absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
