package spec

import (
	"fmt"
	"slices"
	"strings"
)

const extensionKey = "x-stack"

// extensionKeys are the members of x-stack known so far; none does anything yet.
func extensionKeys() []string {
	return []string{"bandwidth", "isolation", "once", "probe", "schedule", "watch"}
}

// checkExtension: x-stack stands at the top level or in a service, and has known
// keys only. Other x-* keys belong to the user, as in Compose.
func checkExtension(m *model, r *report) {
	if x := m.root.get(extensionKey); x != nil {
		checkExtensionKeys(x, r)
	}
	for _, s := range m.services {
		if x := s.v.get(extensionKey); x != nil {
			checkExtensionKeys(x, r)
		}
	}
	m.root.each(func(name string, section *value) {
		if name == "services" || strings.HasPrefix(name, "x-") {
			return
		}
		section.each(func(_ string, element *value) {
			if x := element.get(extensionKey); x != nil {
				r.add(x.named(), "extension", "x-stack has no meaning here", "it stands at the top level or in a service")
			}
		})
	})
}

func checkExtensionKeys(x *value, r *report) {
	if x.kind != mapping {
		r.add(x.at, "extension", "x-stack must be a mapping, not "+x.describe(), "")
		return
	}
	x.each(func(name string, v *value) {
		if slices.Contains(extensionKeys(), name) {
			r.warn(v.named(), "ignored-key", fmt.Sprintf("x-stack.%s has no effect: it is not built yet", name), "")
			return
		}
		r.add(v.named(), "extension", fmt.Sprintf("unknown key %q in x-stack", name), didYouMean(name, extensionKeys()))
	})
}
