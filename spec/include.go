package spec

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// sections are the top-level elements that an include brings in.
var sections = []string{"services", "jobs", "volumes", "networks", "secrets", "configs", "models"}

// include composes what cfg includes and puts cfg's own elements on top.
func (c *composer) include(s scope, cfg *value) {
	list := cfg.get("include")
	if list == nil {
		return
	}
	c.composed = true
	for _, entry := range list.list() {
		sub, ok := c.included(s, entry)
		if !ok {
			continue
		}
		for _, name := range sections {
			c.adopt(sub.get(name), cfg, name)
		}
	}
	cfg.remove("include")
}

// adopt puts an included section under the one of the including file.
func (c *composer) adopt(from, cfg *value, name string) {
	if from == nil || from.kind != mapping {
		return
	}
	to := cfg.get(name)
	if to == nil || to.kind != mapping {
		to = &value{kind: mapping, fields: map[string]*value{}, at: from.at, key: from.key}
		cfg.set(name, to)
	}
	from.each(func(element string, v *value) {
		own := to.fields[element]
		if own != nil && own.signature() == v.signature() {
			return // reached twice through a diamond of includes
		}
		to.set(element, joiner{c.report}.merge(v, own, []string{name, element}))
	})
}

// included composes one entry of the list.
func (c *composer) included(s scope, entry *value) (*value, bool) {
	paths := entry.list()
	if entry.kind == mapping {
		paths = entry.get("path").list()
	}
	var files []*file
	for i, p := range paths {
		path := absolute(s.dir, p.text(), "")
		if i == 0 && slices.Contains(s.chain, path) {
			c.report.add(p.at, "include-cycle", "files include each other: "+cycleText(s.chain, path), "")
			c.partial = true
			return nil, false
		}
		f, ok := c.open(path, p.at)
		if !ok {
			return nil, false
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, false
	}
	inner := scope{dir: filepath.Dir(files[0].path), chain: s.chain}
	if dir := entry.get("project_directory").text(); dir != "" {
		inner.dir = absolute(s.dir, dir, "")
	}
	env, ok := c.includedEnv(s, inner.dir, entry)
	inner.env = env
	return c.composeOnce(inner, files), ok
}

// composeOnce remembers what it composed: without that, a ladder of files that
// each include the next one twice takes exponential time.
func (c *composer) composeOnce(s scope, files []*file) *value {
	key := s.key(files)
	tree, ok := c.includes[key]
	if !ok {
		tree = c.compose(s, files)
		c.includes[key] = tree
	}
	return tree.clone()
}

// key tells apart whatever changes the result of composing files.
func (s scope) key(files []*file) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%q\n", f.path)
	}
	fmt.Fprintf(h, "%q\n", s.dir)
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		fmt.Fprintf(h, "%q=%q\n", name, s.env[name])
	}
	return string(h.Sum(nil))
}

func cycleText(chain []string, path string) string {
	names := []string{}
	for _, p := range append(chain[slices.Index(chain, path):], path) {
		names = append(names, shown(p))
	}
	return strings.Join(names, " → ")
}

// includedEnv is the environment for an include: the including one on top of
// env_file, or of .env in its project directory.
func (c *composer) includedEnv(s scope, dir string, entry *value) (map[string]string, bool) {
	var files []string
	list := entry.get("env_file").list()
	for _, f := range list {
		if f.text() == "/dev/null" {
			continue
		}
		path := absolute(s.dir, f.text(), "")
		c.report.looks(path)
		if err := readable(path); err != nil {
			c.report.add(f.at, "env-file", fmt.Sprintf("env file %s %v", shown(path), err), "")
			continue
		}
		files = append(files, path)
	}
	if dotenvFile := filepath.Join(dir, ".env"); len(list) == 0 {
		c.report.looks(dotenvFile)
		if readable(dotenvFile) == nil {
			files = []string{dotenvFile}
		}
	}
	env := s.env.Clone()
	read, err := dotenv.GetEnvFromFile(s.env, files)
	if err != nil {
		c.report.envFile(entry.at, "env file", err)
		return env, false
	}
	return env.Merge(read), true
}
