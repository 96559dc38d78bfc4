package spec

import "time"

// checkSchedule: a schedule can be read, and what it starts is a one-shot that nobody
// waits for.
func checkSchedule(m *model, r *report) {
	scheduled := map[string]bool{}
	for _, s := range m.enabled() {
		list := s.schedules()
		for _, v := range list {
			checkTime(r, v)
		}
		if len(list) == 0 {
			continue
		}
		scheduled[s.name] = true
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

// schedules are what a service, or the triggers of a job, say of times.
func (s *service) schedules() []*value {
	if s.job {
		return s.v.get("triggers", "schedule").list()
	}
	if v := s.v.get(extensionKey, "schedule"); v.text() != "" {
		return []*value{v}
	}
	return nil
}

func checkTime(r *report, v *value) {
	text, zone := v, v.get("timezone")
	if v.kind == mapping {
		text = v.get("cron")
	}
	cron := text.text()
	if zone.text() != "" {
		cron = zonePrefix + zone.text() + " " + cron
	}
	if _, err := NextRun(cron, time.Now()); text != nil && err != nil {
		r.add(text.at, "schedule", "cannot start anything by schedule "+quote(text)+": "+err.Error(), `minute, hour, day, month, weekday: "30 3 * * *" is half past three each night`)
	}
}
