package spec

import (
	"github.com/compose-spec/compose-go/v2/types"
)

const durationHint = "write 500ms, 10s, 1m30s, 2h"

func durationPaths() [][]string {
	return [][]string{
		{"stop_grace_period"},
		{"healthcheck", "interval"}, {"healthcheck", "timeout"},
		{"healthcheck", "start_period"}, {"healthcheck", "start_interval"},
		{"deploy", "restart_policy", "delay"}, {"deploy", "restart_policy", "window"},
		{"deploy", "update_config", "delay"}, {"deploy", "update_config", "monitor"},
		{"deploy", "rollback_config", "delay"}, {"deploy", "rollback_config", "monitor"},
	}
}

// checkDurations: durations can be parsed and are not negative.
func checkDurations(m *model, r *report) {
	for _, s := range m.enabled() {
		for _, path := range durationPaths() {
			v := s.v.get(path...)
			if v == nil || v.kind != scalar {
				continue
			}
			var d types.Duration
			if err := d.DecodeMapstructure(v.text()); err != nil || v.text() == "" {
				r.add(v.at, "duration", last(path)+" cannot be "+quote(v)+": it is no duration", durationHint)
			} else if d < 0 {
				r.add(v.at, "duration", last(path)+" cannot be negative", "")
			}
		}
	}
}
