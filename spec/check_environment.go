package spec

import (
	"strconv"
	"strings"
	"unicode"
)

// checkEnvironment: the names of variables have no blanks around them and are
// not empty.
func checkEnvironment(m *model, r *report) {
	for _, s := range m.enabled() {
		s.v.get("environment").names(func(entry string, at place, _ *value) {
			name, _, _ := strings.Cut(entry, "=")
			if name == "" || strings.ContainsRune(name, 0) || strings.IndexFunc(name, unicode.IsSpace) == len(name)-1 {
				r.addf(at, "environment", "%s is no name of a variable", strconv.Quote(name))
			}
		})
	}
}
