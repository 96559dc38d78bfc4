package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var restartPolicy = regexp.MustCompile(`^(no|always|unless-stopped|on-failure(:[0-9]+)?)$`)

// checkRestart: restart policies are known ones.
func checkRestart(m *model, r *report) {
	known := []string{"no", "always", "unless-stopped", "on-failure"}
	conditions := []string{"none", "on-failure", "any"}
	for _, s := range m.enabled() {
		if v := s.v.get("restart"); v.text() != "" && !restartPolicy.MatchString(v.text()) {
			r.add(v.at, "restart", fmt.Sprintf("there is no restart policy %q", v.text()), hintOf(v, known))
		}
		if v := s.v.get("deploy", "restart_policy", "condition"); v.text() != "" && !slices.Contains(conditions, v.text()) {
			r.add(v.at, "restart", fmt.Sprintf("there is no restart condition %q", v.text()), hintOf(v, conditions))
		}
	}
}

// hintOf is the near one of few known values, else all of them.
func hintOf(v *value, known []string) string {
	if hint := DidYouMean(v.text(), known); hint != "" {
		return hint
	}
	if len(known) == 1 {
		return fmt.Sprintf("only %s is", known[0])
	}
	return "known are " + strings.Join(known, ", ")
}
