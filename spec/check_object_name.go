package spec

import "strings"

// ObjectName: whether a volume or network may have the name, which becomes part of
// a path and of tables: Docker's rule, 1 to 255 letters, digits, _, . and -, the
// first a letter or digit.
func ObjectName(name string) bool {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return name != "" && len(name) <= 255 && strings.IndexByte(first, name[0]) >= 0 &&
		strings.TrimLeft(name, first+"_.-") == ""
}

// checkObjectNames: the `name:` of each volume and network is an ObjectName.
func checkObjectNames(m *model, r *report) {
	for _, section := range []string{"volumes", "networks"} {
		m.root.get(section).each(func(_ string, v *value) {
			name := v.get("name")
			if name.text() == "" || ObjectName(name.text()) {
				return
			}
			r.addf(name.at, "object-name", "%q cannot name a %s: letters, digits, _, . and - are allowed, the first a letter or digit", name.text(), section[:len(section)-1])
		})
	}
}
