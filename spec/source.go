package spec

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// family is a set of default names and of overrides that go with them.
type family struct{ names, overrides []string }

// families are looked for in this order.
func families() []family {
	return []family{
		{
			names:     []string{"stack.yaml", "stack.yml"},
			overrides: []string{"stack.override.yaml", "stack.override.yml"},
		}, {
			names: []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"},
			overrides: []string{"compose.override.yml", "compose.override.yaml",
				"docker-compose.override.yml", "docker-compose.override.yaml"},
		},
	}
}

// sources are the files to load and the directory that relative paths start at.
type sources struct {
	paths []string
	dir   string
}

// locate decides which files to load. It reads .env of the directories it passes,
// since that may say so.
func locate(o Options, env *environment, r *report) (sources, bool) {
	start, err := startDir(o)
	if err != nil {
		r.global("", "file", fmt.Sprintf("cannot find the working directory: %v", err), "")
		return sources{}, false
	}
	env.dotenv(start)
	paths := o.Files
	if list := env.vars[varFile]; len(paths) == 0 && list != "" {
		separator := env.vars[varSeparator]
		if separator == "" {
			separator = defaultSeparator
		}
		paths = strings.Split(list, separator)
	}
	if len(paths) == 0 {
		paths = discover(start, r)
	}
	if len(paths) == 0 {
		r.global("", "file", fmt.Sprintf("no stack file found in %s or above", start), "name one with -f, or write stack.yaml")
		return sources{}, false
	}
	s := sources{dir: start}
	for i, p := range paths {
		if p != stdin {
			if p, err = filepath.Abs(p); err != nil {
				return s, false
			}
			if o.Dir == "" && (i == 0 || s.paths[i-1] == stdin) {
				s.dir = filepath.Dir(p)
			}
		}
		s.paths = append(s.paths, p)
	}
	env.dotenv(s.dir)
	return s, true
}

// startDir is where the search begins.
func startDir(o Options) (string, error) {
	if o.Dir != "" {
		return filepath.Abs(o.Dir)
	}
	for _, f := range o.Files {
		if f != stdin {
			abs, err := filepath.Abs(f)
			return filepath.Dir(abs), err
		}
	}
	return os.Getwd()
}

// discover goes up from dir until one of the default names is there.
func discover(dir string, r *report) []string {
	for {
		for _, f := range families() {
			found := present(dir, f.names)
			r.candidates(dir, f)
			if len(found) == 0 {
				continue
			}
			r.chosen(found)
			over := present(dir, f.overrides)
			r.chosen(over)
			return append(found[:1:1], over[:min(1, len(over))]...)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

func present(dir string, names []string) []string {
	var found []string
	for _, name := range names {
		if path := filepath.Join(dir, name); isFile(path) {
			found = append(found, path)
		}
	}
	return found
}

// chosen warns when there was a choice.
func (r *report) chosen(found []string) {
	if len(found) < 2 {
		return
	}
	r.append(Diagnostic{File: shown(found[0]), Rule: "file", Severity: Warning,
		Message: fmt.Sprintf("there is %s too; %s is used", filepath.Base(found[1]), filepath.Base(found[0]))})
}

// read reads every file; all that cannot be read are reported.
func (s sources) read(in io.Reader, r *report) (files []*file, ok bool) {
	if in == nil {
		in = os.Stdin
	}
	ok = true
	for _, path := range s.paths {
		r.looks(path)
		text, err := readFile(path, in)
		if err != nil {
			r.global(shown(path), "file", err.Error(), "")
			ok = false
			continue
		}
		files = append(files, &file{path: path, name: shown(path), text: text})
	}
	return files, ok
}
