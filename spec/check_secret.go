package spec

import "fmt"

// checkSecrets: secrets and configs of services are defined.
func checkSecrets(m *model, r *report) {
	for _, s := range m.enabled() {
		for _, section := range []string{"secrets", "configs"} {
			m.checkFileRefs(r, s, s.v.get(section), section)
		}
		m.checkFileRefs(r, s, s.v.get("build", "secrets"), "secrets")
	}
}

func (m *model) checkFileRefs(r *report, s *service, list *value, section string) {
	defined := m.root.get(section)
	for _, item := range list.list() {
		source := item
		if item.kind == mapping {
			source = item.get("source")
		}
		one := section[:len(section)-1]
		switch name := source.text(); {
		case name == "":
			r.addf(item.at, "undefined-"+one, "a %s of service %q has no source", one, s.name)
		case defined.get(name) == nil && !m.partial:
			r.add(source.at, "undefined-"+one, fmt.Sprintf("service %q refers to the undefined %s %q", s.name, one, name),
				DidYouMean(name, defined.members()))
		}
	}
}
