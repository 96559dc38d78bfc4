package spec

import (
	"fmt"
	"slices"
	"strings"
)

// checkDrivers: drivers and modes are those there are on one machine.
func checkDrivers(m *model, r *report) {
	m.root.get("networks").each(func(_ string, v *value) {
		oneOf(r, v.get("driver"), "network driver", "bridge")
		oneOf(r, v.get("ipam", "driver"), "IPAM driver", "default")
	})
	m.root.get("volumes").each(func(_ string, v *value) {
		oneOf(r, v.get("driver"), "volume driver", "local")
	})
	for _, s := range m.used() {
		mode := s.v.get("deploy", "mode")
		oneOf(r, mode, "deploy mode", "replicated", "global", "replicated-job", "global-job")
		if n, at := s.replicas(); strings.HasPrefix(mode.text(), "global") && n != 1 {
			r.addf(at, "exclusive", "service %q is %s: it has one replica on one machine, not %d", s.name, mode.text(), n)
		}
		for _, item := range s.v.get("volumes").list() {
			oneOf(r, item.get("type"), "volume type", "volume", "bind", "tmpfs", "image")
		}
	}
}

func oneOf(r *report, v *value, what string, known ...string) {
	if v.text() != "" && !slices.Contains(known, v.text()) {
		r.add(v.at, "unsupported", fmt.Sprintf("%s %q is not supported", what, v.text()), hintOf(v, known))
	}
}
