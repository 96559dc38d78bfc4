package spec

import "fmt"

// checkImage: a service says what to run. The whole merged service counts, so a
// missing file of its may be to blame instead.
func checkImage(m *model, r *report) {
	if m.partial {
		return
	}
	for _, s := range m.enabled() {
		if s.v.kind != mapping {
			continue
		}
		if s.v.get("image").text() == "" && s.v.get("build") == nil && s.v.get("provider") == nil {
			r.add(s.v.named(), "missing-image", fmt.Sprintf("service %q has neither image nor build", s.name), "")
		}
	}
}
