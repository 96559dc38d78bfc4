package spec

import (
	"fmt"
	"regexp"
)

// checkContainerNames: container names are valid, given once, and to services
// with one replica.
func checkContainerNames(m *model, r *report) {
	valid := regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	owners := map[string]string{}
	for _, s := range m.enabled() {
		name := s.v.get("container_name")
		if name.text() == "" {
			continue
		}
		if !valid.MatchString(name.text()) {
			r.addf(name.at, "container-name", "%q is no container name: letters, digits, _, . and - are allowed", name.text())
		}
		if owner, taken := owners[name.text()]; taken {
			r.addf(name.at, "container-name", "container name %q is taken by service %q", name.text(), owner)
		}
		owners[name.text()] = s.name
		if n, at := s.replicas(); n > 1 {
			r.add(at, "container-name", fmt.Sprintf("service %q cannot have %d replicas of one container_name", s.name, n), "")
		}
	}
}
