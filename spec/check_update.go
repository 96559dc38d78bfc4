package spec

import (
	"fmt"
	"slices"
)

// checkUpdate: what a failed update leads to is known.
func checkUpdate(m *model, r *report) {
	actions := map[string][]string{
		"update_config":   {"pause", "continue", "rollback"},
		"rollback_config": {"pause", "continue"},
	}
	for _, s := range m.enabled() {
		for _, key := range []string{"update_config", "rollback_config"} {
			v := s.v.get("deploy", key, "failure_action")
			if text := v.text(); text != "" && !slices.Contains(actions[key], text) {
				r.add(v.at, "update", fmt.Sprintf("there is no failure action %q", text), hintOf(v, actions[key]))
			}
		}
	}
}
