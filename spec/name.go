package spec

import (
	"fmt"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

const nameRule = "a project name has lower-case letters, digits, - and _, and begins with a letter or a digit"

// IsProjectName: whether a project may have the name. It becomes part of paths.
func IsProjectName(name string) bool {
	return name != "" && loader.NormalizeProjectName(name) == name
}

// projectName is -p, COMPOSE_PROJECT_NAME, the last file's name: or the name of
// the directory. The first two must be valid; the others are made so.
func (c *composer) projectName(src sources, files []*file, env types.Mapping) string {
	for _, given := range []struct{ name, from string }{{c.opts.Project, "-p"}, {env[varProject], varProject}} {
		if given.name == "" {
			continue
		}
		if !IsProjectName(given.name) {
			c.report.global("", "project-name", fmt.Sprintf("%s: %q is no project name", given.from, given.name), nameRule)
		}
		return given.name
	}
	if name := c.writtenName(files, env); name != "" {
		return name
	}
	name := loader.NormalizeProjectName(filepath.Base(src.dir))
	if name == "" {
		c.report.global(files[0].name, "project-name",
			fmt.Sprintf("cannot make a project name of the directory %q", src.dir), "name the project with -p or name:")
	}
	return name
}

// writtenName is the last `name:` of the files. A document that cannot be parsed
// is left to parse, which reports it.
func (c *composer) writtenName(files []*file, env types.Mapping) string {
	name := ""
	for _, f := range files {
		docs, _ := f.nodes()
		for _, doc := range docs {
			var head struct {
				Name yaml.Node `yaml:"name"`
			}
			if doc.Decode(&head) == nil && head.Name.Kind == yaml.ScalarNode && head.Name.Value != "" {
				name = c.normalName(&origin{file: f}, head.Name, env)
			}
		}
	}
	return name
}

func (c *composer) normalName(from *origin, n yaml.Node, env types.Mapping) string {
	written := n.Value
	if !c.opts.NoInterpolate {
		if s, err := substitute(written, env.Resolve); err == nil {
			written = s
		}
	}
	name := loader.NormalizeProjectName(written)
	at := place{from: from, line: n.Line, col: n.Column}
	switch {
	case name == "":
		c.report.add(at, "project-name", fmt.Sprintf("%q is no project name", written), nameRule)
	case name != written:
		c.report.warn(at, "project-name", fmt.Sprintf("the project is called %q", name), nameRule)
	}
	return name
}

// ProjectName is the name that Load gives the project. It reads no more of the files
// than that, which takes a fraction of the time, and what else is wrong in them does
// not matter, as long as they can be parsed.
func ProjectName(o Options) (string, error) {
	r := &report{}
	env := newEnvironment(o, r)
	src, ok := locate(o, env, r)
	if !ok {
		return "", r.list.Sorted()
	}
	files, ok := src.read(o.Stdin, r)
	if !ok {
		return "", r.list.Sorted()
	}
	for _, f := range files {
		if _, err := f.nodes(); err != nil {
			return "", fmt.Errorf("cannot parse %s: %w", f.name, err)
		}
	}
	c := &composer{report: r, opts: o}
	name := c.projectName(src, files, env.vars)
	if found := r.list.Sorted(); found.Failed() {
		return "", found
	}
	return name, nil
}
