package spec

import "fmt"

// checkSourceFiles: files and variables behind the secrets and configs of the
// used services are there.
func checkSourceFiles(m *model, r *report) {
	for _, section := range []string{"secrets", "configs"} {
		one := section[:len(section)-1]
		for name := range m.usedFiles(section) {
			v := m.root.get(section, name)
			file := v.get("file")
			if file.text() != "" {
				r.looks(m.resolve(file))
			}
			if file.text() != "" && !m.exists(file) {
				r.addf(file.at, "missing-file", "%s %q: file %s not found", one, name, shown(m.resolve(file)))
			}
			variable := v.get("environment")
			if _, set := m.env[variable.text()]; variable.text() != "" && !set {
				r.add(variable.at, "missing-variable", fmt.Sprintf("%s %q: variable %s is not set", one, name, variable.text()), "")
			}
		}
	}
}

// usedFiles are the names of secrets or configs that used services mount.
func (m *model) usedFiles(section string) map[string]bool {
	names := map[string]bool{}
	for _, s := range m.needed() {
		for _, item := range s.v.get(section).list() {
			if item.kind == mapping {
				item = item.get("source")
			}
			names[item.text()] = true
		}
	}
	return names
}

// resolve is the path that a value of the stack file leads to.
func (m *model) resolve(v *value) string {
	dir := ""
	if v.at.from != nil {
		dir = v.at.from.dir
	}
	return absolute(dir, v.text(), m.env["HOME"])
}

func (m *model) exists(v *value) bool { return isFile(m.resolve(v)) }
