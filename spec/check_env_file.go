package spec

import (
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
)

// checkEnvFiles: env and label files of the used services, and of the containers
// before them, exist and can be read.
func checkEnvFiles(m *model, r *report) {
	for _, s := range m.needed() {
		m.checkFilesOf(r, s)
		for _, hook := range s.v.get("pre_start").list() {
			m.checkFilesOf(r, &service{name: s.name, v: hook})
		}
	}
}

func (m *model) checkFilesOf(r *report, s *service) {
	vars := types.Mapping{}
	for _, item := range s.v.get("env_file").list() {
		m.checkEnvFile(r, s, item, vars)
	}
	for _, item := range s.v.get("label_file").list() {
		m.checkLabelFile(r, item)
	}
}

// checkEnvFile adds what it reads to vars, which later files may refer to.
func (m *model) checkEnvFile(r *report, s *service, item *value, vars types.Mapping) {
	path, required := item, true
	if item.kind == mapping {
		path = item.get("path")
		if v := item.get("required"); v != nil {
			required = v.truth()
		}
	}
	if path.text() == "" {
		if path != nil {
			r.add(path.at, "env-file", "the path of an env file is empty", "")
		}
		return
	}
	file := m.resolve(path)
	r.looks(file)
	if err := readable(file); err != nil {
		missing := !isFile(file)
		switch {
		case missing && required:
			r.add(path.at, "env-file", fmt.Sprintf("env file %s %v", shown(file), err), "required: false makes it optional")
		case !missing:
			r.addf(path.at, "env-file", "env file %s %v", shown(file), err)
		}
		return
	}
	format := item.get("format")
	if text := format.text(); text != "" && text != rawFormat {
		r.add(format.at, "env-file", fmt.Sprintf("unknown format %q of an env file", text), "leave it out, or write raw")
		return
	}
	lookup := func(name string) (string, bool) {
		if v, ok := m.env.Resolve(name); ok {
			return v, true
		}
		return s.variable(name)
	}
	if err := parseEnvFile(file, format.text(), vars, lookup); err != nil {
		r.envFile(path.at, "env file", err)
	}
}

func (m *model) checkLabelFile(r *report, item *value) {
	file := m.resolve(item)
	r.looks(file)
	if err := readable(file); err != nil {
		r.addf(item.at, "label-file", "label file %s %v", shown(file), err)
		return
	}
	vars := types.Mapping{}
	if err := parseEnvFile(file, "", vars, vars.Resolve); err != nil {
		r.envFile(item.at, "label file", err)
	}
}

func parseEnvFile(path, format string, vars types.Mapping, lookup dotenv.LookupFn) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return guard("read env file", func() error { return dotenv.ParseWithFormat(f, path, vars, lookup, format) })
}

// variable is one that the service's environment gives a value.
func (s *service) variable(name string) (string, bool) {
	env := s.v.get("environment")
	if env != nil && env.kind == sequence {
		entry := env.entry(name).text()
		if len(entry) <= len(name) {
			return "", false
		}
		return entry[len(name)+1:], true
	}
	v := env.get(name)
	return v.text(), v != nil && v.data != nil
}
