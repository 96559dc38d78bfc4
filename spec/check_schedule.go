package spec

import "time"

// checkSchedule: a schedule can be read, and what it starts is a one-shot that nobody
// waits for.
func checkSchedule(m *model, r *report) {
	scheduled := map[string]bool{}
	for _, s := range m.enabled() {
		v := s.v.get(extensionKey, "schedule")
		text := v.text()
		if text == "" {
			continue
		}
		scheduled[s.name] = true
		if _, err := NextRun(text, time.Now()); err != nil {
			r.add(v.at, "schedule", "cannot start the service by schedule "+quote(v)+": "+err.Error(), `minute, hour, day, month, weekday: "30 3 * * *" is half past three each night`)
		}
		if once := s.v.get(extensionKey, "once"); once.truth() {
			r.addf(once.named(), "exclusive", "service %q has both schedule and once", s.name)
		}
		if policy := s.v.get("restart"); policy.text() == "always" || policy.text() == "unless-stopped" {
			r.add(policy.at, "schedule", "a scheduled service ends, with restart: "+policy.text()+" it does not", "write restart: on-failure, or leave it out")
		}
	}
	for _, s := range m.enabled() {
		for _, e := range s.edges {
			if e.required && scheduled[e.to] {
				r.addf(e.at, "schedule", "service %q cannot wait for %q, which runs by schedule (%s)", s.name, e.to, e.via)
			}
		}
	}
}
