package infer

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// trace follows files of the context through the stages of a Dockerfile.
type trace struct {
	in      *inference
	recipe  *recipe
	context string
	rules   []Rule
	seen    map[int]bool // stages of which all asks for a build

	env     map[string]string
	workdir string // "" when only the base image knows
	dirs    []string
	// ran says that something runs in the image after what is looked at.
	ran func() bool
}

// final follows what the service's own image holds.
func (t *trace) final(chain []stage) {
	t.seen = map[int]bool{}
	last := [2]int{-1, -1} // the last RUN
	for n, s := range chain {
		for m, c := range s.Commands {
			if _, ok := c.(*instructions.RunCommand); ok {
				last = [2]int{n, m}
			}
		}
	}
	t.env = maps.Clone(t.recipe.global)
	for n, s := range chain {
		for m, c := range s.Commands {
			t.ran = func() bool { return n < last[0] || n == last[0] && m < last[1] }
			t.command(s, c)
		}
	}
}

// made follows what another stage is made of: all of it asks for a build.
func (t *trace) made(n int) {
	before := *t
	t.env, t.workdir, t.dirs, t.ran = maps.Clone(t.recipe.global), "", nil, func() bool { return true }
	for _, s := range t.recipe.upTo(n) {
		if t.seen[s.number] {
			continue
		}
		t.seen[s.number] = true
		for _, c := range s.Commands {
			t.command(s, c)
		}
	}
	t.env, t.workdir, t.dirs, t.ran = before.env, before.workdir, before.dirs, before.ran
}

func (t *trace) command(s stage, c instructions.Command) {
	switch c := c.(type) {
	case *instructions.ArgCommand:
		t.recipe.argument(c, t.env)
	case *instructions.EnvCommand:
		for _, kv := range c.Env {
			t.env[kv.Key] = t.expand(kv.Value)
		}
	case *instructions.WorkdirCommand:
		dir := t.expand(c.Path)
		if path.IsAbs(dir) || t.workdir != "" {
			t.workdir = path.Join(t.workdir, dir)
			if path.IsAbs(dir) {
				t.workdir = path.Clean(dir)
			}
			t.dirs = append(t.dirs, t.workdir)
		}
	case *instructions.RunCommand:
		t.run(s, c)
	case *instructions.CopyCommand:
		if c.From != "" {
			t.from(s, t.expand(c.From), "COPY", c.Location())
			return
		}
		t.copies(copied{c.SourcesAndDest, c.ExcludePatterns, "COPY", c.Parents, c.Location()})
	case *instructions.AddCommand:
		t.copies(copied{c.SourcesAndDest, c.ExcludePatterns, "ADD", false, c.Location()})
	}
}

func (t *trace) expand(word string) string { return t.recipe.expand(word, t.env) }

// from is what comes from another stage, or from a context with a name.
func (t *trace) from(s stage, name, what string, at []parser.Range) {
	if dir := t.in.service.Build.AdditionalContexts[name]; filepath.IsAbs(dir) {
		t.rebuild(dir, nil, t.why(what+" --from="+name, at))
		return
	}
	if n := t.recipe.stage(name, s.number); n >= 0 {
		t.made(n)
	}
}

// run looks at what a RUN mounts of the context.
func (t *trace) run(s stage, c *instructions.RunCommand) {
	expand := func(word string) (string, error) { return t.expand(word), nil }
	if c.Expand(expand) != nil {
		return
	}
	for _, m := range instructions.GetMounts(c) {
		switch {
		case m.Type != instructions.MountTypeBind:
		case m.From != "":
			t.from(s, m.From, "RUN --mount", c.Location())
		default:
			t.rebuild(t.inContext(m.Source), nil, t.why("RUN --mount", c.Location()))
		}
	}
}

// copied is a COPY or ADD of files of the context.
type copied struct {
	instructions.SourcesAndDest
	exclude []string
	what    string
	parents bool
	at      []parser.Range
}

func (t *trace) copies(c copied) {
	dest := t.expand(c.DestPath)
	intoDir := strings.HasSuffix(dest, "/") || path.Base(dest) == "." || path.Base(dest) == ".." || len(c.SourcePaths) > 1
	known := path.IsAbs(dest) || t.workdir != ""
	if dest = path.Clean(dest); !path.IsAbs(dest) {
		dest = path.Join("/", t.workdir, dest)
	}
	intoDir = intoDir || slices.Contains(t.dirs, dest)
	for _, source := range c.SourcePaths {
		source = t.expand(source)
		if c.what == "ADD" && (strings.Contains(source, "://") || strings.HasPrefix(source, "git@")) {
			continue
		}
		why := t.why(fmt.Sprintf("%s %s", c.what, source), c.at)
		root, include := t.find(source)
		info, err := os.Stat(root)
		if err != nil {
			continue // the build will tell
		}
		into := dest
		if !info.IsDir() && intoDir {
			into = path.Join(dest, filepath.Base(root))
		}
		_, hidden := t.in.hidden(into)
		whole := c.what == "ADD" && archive(root) || c.parents || !known || include != "" && !flat(root, include)
		switch {
		case t.ran() || whole:
			t.rebuild(root, list(include), why)
		case !hidden:
			t.rules = append(t.rules, Rule{Why: why, Trigger: types.Trigger{
				Path: root, Target: into, Action: t.in.act(), Include: list(include),
				Ignore: slices.Concat(c.exclude, t.in.ownFiles(root), t.in.mountsBelow(into)),
			}})
		}
	}
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func (t *trace) rebuild(root string, include []string, why string) {
	t.rules = append(t.rules, Rule{Why: why, Trigger: types.Trigger{
		Path: root, Action: types.WatchActionRebuild, Include: include, Ignore: t.in.ownFiles(root),
	}})
}

func (t *trace) why(text string, at []parser.Range) string {
	if len(at) > 0 {
		return fmt.Sprintf("%s, %s:%d", text, t.recipe.name(), at[0].Start.Line)
	}
	return text
}

func (t *trace) inContext(name string) string { return filepath.Join(t.context, path.Join("/", name)) }

// find is the host's path of a source; for one with wildcards the directory that is
// sure, and the pattern below it.
func (t *trace) find(source string) (root, include string) {
	source = strings.TrimPrefix(path.Join("/", source), "/")
	var sure []string
	parts := strings.Split(source, "/")
	for n, part := range parts {
		if strings.ContainsAny(part, `*?[\`) {
			return t.inContext(path.Join(sure...)), path.Join(parts[n:]...)
		}
		sure = append(sure, part)
	}
	return t.inContext(source), ""
}

// flat reports whether a pattern is about files right in dir alone.
func flat(dir, pattern string) bool {
	if strings.Contains(pattern, "/") {
		return false
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		ok, err := path.Match(pattern, e.Name())
		return err != nil || ok && e.IsDir()
	})
}

func archive(name string) bool {
	return slices.ContainsFunc([]string{".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst"},
		func(ext string) bool { return strings.HasSuffix(name, ext) })
}
