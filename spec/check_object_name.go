package spec

import "regexp"

// checkObjectNames: the `name:` of a volume or network becomes part of a path and
// of tables; Docker's rule for them keeps both in their place.
func checkObjectNames(m *model, r *report) {
	valid := regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$`)
	for _, section := range []string{"volumes", "networks"} {
		m.root.get(section).each(func(_ string, v *value) {
			name := v.get("name")
			if name.text() == "" || valid.MatchString(name.text()) {
				return
			}
			r.addf(name.at, "object-name", "%q cannot name a %s: letters, digits, _, . and - are allowed, the first a letter or digit", name.text(), section[:len(section)-1])
		})
	}
}
