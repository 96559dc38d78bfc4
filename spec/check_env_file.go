package spec

import (
	"fmt"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// checkEnvFiles: env and label files of the used services exist and can be read.
func checkEnvFiles(m *model, r *report) {
	for _, s := range m.used() {
		for _, item := range s.v.get("env_file").list() {
			m.checkEnvFile(r, item)
		}
		for _, item := range s.v.get("label_file").list() {
			if err := readable(m.resolve(item)); err != nil {
				r.addf(item.at, "label-file", "label file %s %v", shown(m.resolve(item)), err)
			}
		}
	}
}

func (m *model) checkEnvFile(r *report, item *value) {
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
	var err error
	switch format := item.get("format"); format.text() {
	case "":
		_, err = dotenv.GetEnvFromFile(m.env, []string{file})
	case rawFormat:
		err = checkRaw(file)
	default:
		r.add(format.at, "env-file", fmt.Sprintf("unknown format %q of an env file", format.text()), didYouMean(format.text(), []string{rawFormat}))
	}
	if err != nil {
		r.envFile(path.at, err)
	}
}
