package spec

import (
	"fmt"
	"slices"
	"strings"
)

// checkSecurityOpt: security options are understood. Labels of security modules
// are not set, so asking for none is fine and asking for one is refused.
func checkSecurityOpt(m *model, r *report) {
	for _, s := range m.enabled() {
		for _, item := range s.v.get("security_opt").list() {
			name, setting, _ := strings.Cut(strings.Replace(item.text(), "=", ":", 1), ":")
			allowed, known := securityOptions()[name]
			switch {
			case !known:
				r.add(item.at, "security-opt", fmt.Sprintf("there is no security option %q", name),
					DidYouMean(name, []string{"no-new-privileges", "seccomp", "apparmor", "label", "systempaths"}))
			case name == "seccomp" && setting != "": // a file, which preflight reads
			case !slices.Contains(allowed, setting):
				r.addf(item.at, "unsupported", "security option %q is not supported: %s can be %s",
					item.text(), name, strings.Join(slices.DeleteFunc(allowed, func(s string) bool { return s == "" }), " or "))
			}
		}
	}
}

func securityOptions() map[string][]string {
	return map[string][]string{
		"no-new-privileges": {"", "true", "false"},
		"seccomp":           {"unconfined", "builtin", "a file"},
		"apparmor":          {"unconfined"},
		"label":             {"disable"},
		"systempaths":       {"unconfined"},
	}
}
