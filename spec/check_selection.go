package spec

import "fmt"

// checkSelection: services named on the command line exist.
func checkSelection(m *model, r *report) {
	for _, name := range m.opts.Services {
		if m.byName[name] == nil && !m.partial {
			r.global(m.source(), "no-such-service", fmt.Sprintf("no such service: %s", name),
				DidYouMean(name, m.names()))
		}
	}
}

// names are what can be named where a service is meant.
func (m *model) names() []string {
	return append(m.root.get("services").members(), m.root.get("jobs").members()...)
}

// members are the keys of a mapping, none for nil.
func (v *value) members() []string {
	if v == nil {
		return nil
	}
	return v.keys
}
