package spec

import "strings"

// checkWatch: what develop.watch asks for can be done.
func checkWatch(m *model, r *report) {
	for _, s := range m.enabled() {
		watch := s.v.get("develop", "watch")
		if watch == nil || watch.kind != sequence {
			continue
		}
		for _, item := range watch.items {
			action := item.get("action")
			if strings.HasPrefix(action.text(), "sync") && item.get("target").text() == "" {
				r.add(action.at, "watch", syncNeedsTarget(action.text()), targetHint)
			}
			switch action.text() {
			case "rebuild":
				if s.v.get("build") == nil {
					r.warn(action.at, "ignored-key", "rebuild has no effect: the service has no build section", "")
				}
			case "sync+exec":
				if c := item.get("exec", "command"); c.text() == "" && (c == nil || len(c.items) == 0) {
					r.add(action.at, "watch", "sync+exec needs a command to execute", "give the rule exec: {command: ...}")
				}
			}
		}
	}
}
