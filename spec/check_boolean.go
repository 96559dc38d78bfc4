package spec

import "fmt"

// checkBooleans: truth values that may be written as text are true or false. Most
// are cast with the interpolation already; these are not.
func checkBooleans(m *model, r *report) {
	for _, s := range m.enabled() {
		checkBoolean(r, s.v.get("attach"))
		checkBoolean(r, s.v.get("triggers", "manual"))
		for _, item := range s.v.get("volumes").list() {
			checkBoolean(r, item.get("bind", "create_host_path"))
		}
		for _, item := range s.v.get("env_file").list() {
			checkBoolean(r, item.get("required"))
		}
		for _, kind := range []string{"pre_start", "post_start", "pre_stop"} {
			for _, hook := range s.v.get(kind).list() {
				checkBoolean(r, hook.get("privileged"))
				checkBoolean(r, hook.get("per_replica"))
			}
		}
	}
}

func checkBoolean(r *report, v *value) {
	if text, ok := v.string(); ok && yaml12(text) != "true" && yaml12(text) != "false" {
		r.add(v.at, "type", fmt.Sprintf("%q does not fit here: it must be true or false", text), "")
	}
}
