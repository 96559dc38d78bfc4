package spec

import (
	"fmt"
	"strings"
)

// checkServiceRefs: depends_on, links, volumes_from and shared namespaces name
// services that exist and are enabled.
func checkServiceRefs(m *model, r *report) {
	for _, s := range m.enabled() {
		for _, e := range s.edges {
			m.checkEdge(r, s, e)
		}
	}
}

func (m *model) checkEdge(r *report, s *service, e edge) {
	to := m.byName[e.to]
	switch {
	case to == nil && !m.partial:
		r.add(e.at, "undefined-service", fmt.Sprintf("%s of %q names the undefined service %q", e.via, s.name, e.to),
			DidYouMean(e.to, m.names()))
	case to != nil && !to.enabled && e.required:
		hint := "enable it with --profile " + strings.Join(to.profiles(), " or --profile ")
		if e.via == "depends_on" {
			hint += ", or set required: false"
		}
		r.add(e.at, "disabled-service", fmt.Sprintf("service %q needs %q, which no active profile enables", s.name, e.to), hint)
	case to == s && e.via != "depends_on":
		r.addf(e.at, "cycle", "service %q refers to itself in %s", s.name, e.via)
	}
}
