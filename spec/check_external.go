package spec

import "strings"

// checkExternal: what is made elsewhere is only named here.
func checkExternal(m *model, r *report) {
	for _, section := range []string{"volumes", "networks"} {
		m.root.get(section).each(func(name string, v *value) {
			external := v.get("external")
			if external == nil || external.kind == scalar && !external.truth() {
				return
			}
			v.each(func(key string, member *value) {
				if key == "name" || key == "external" || strings.HasPrefix(key, "x-") {
					return
				}
				if section == "volumes" {
					r.addf(member.named(), "exclusive", "volume %q is external: %s cannot be set here", name, key)
					return
				}
				r.warn(member.named(), "ignored-key", key+" has no effect: the network is external", "")
			})
		})
	}
}
