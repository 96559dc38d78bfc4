package spec

// checkHealthcheck: a test in list form begins with CMD, CMD-SHELL or NONE and
// has what that needs.
func checkHealthcheck(m *model, r *report) {
	for _, s := range m.enabled() {
		test := s.v.get("healthcheck", "test")
		if test == nil || test.kind != sequence {
			continue
		}
		if len(test.items) == 0 {
			r.add(test.at, "healthcheck", "a health check's test cannot be empty", "write [NONE] to switch it off")
			continue
		}
		args := len(test.items) - 1
		switch first := test.items[0]; first.text() {
		case "NONE":
			if args > 0 {
				r.add(test.items[1].at, "healthcheck", "NONE takes no command", "")
			}
		case "CMD", "CMD-SHELL":
			if args == 0 || first.text() == "CMD-SHELL" && args > 1 {
				r.add(first.at, "healthcheck", first.text()+" takes a command"+map[bool]string{true: " in one string"}[args > 1], "")
			}
		default:
			r.add(first.at, "healthcheck", "a test in list form begins with CMD, CMD-SHELL or NONE, not "+quote(first),
				"write CMD first")
		}
	}
}
