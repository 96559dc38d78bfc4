package spec

import (
	"fmt"
	"strings"
)

// checkFileSources: a secret or config has exactly one source.
func checkFileSources(m *model, r *report) {
	for section, keys := range map[string][]string{
		"secrets": {"file", "environment"},
		"configs": {"file", "environment", "content"},
	} {
		m.root.get(section).each(func(name string, v *value) {
			var has []string
			for _, key := range keys {
				if v.get(key) != nil {
					has = append(has, key)
				}
			}
			one := section[:len(section)-1]
			switch {
			case len(has) > 1:
				r.addf(v.get(has[1]).named(), "exclusive", "%s %q has both %s and %s", one, name, has[0], has[1])
			case len(has) == 0 && v.get("external") == nil && v.get("driver") == nil:
				r.add(v.named(), "missing-key", fmt.Sprintf("%s %q needs one of %s", one, name, strings.Join(keys, ", ")), "")
			}
		})
	}
}
