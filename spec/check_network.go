package spec

import "fmt"

// checkNetworks: a service's networks are defined; "default" always is.
func checkNetworks(m *model, r *report) {
	defined := m.root.get("networks")
	for _, s := range m.enabled() {
		networks := s.v.get("networks")
		if mode := s.v.get("network_mode"); mode != nil && networks != nil {
			r.addf(mode.named(), "exclusive", "service %q has both network_mode and networks", s.name)
		}
		networks.names(func(name string, at place, _ *value) {
			if name != "default" && defined.get(name) == nil && !m.partial {
				r.add(at, "undefined-network", fmt.Sprintf("service %q refers to the undefined network %q", s.name, name),
					DidYouMean(name, defined.members()))
			}
		})
	}
}
