package scheduler

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/spec"
)

// Unraisable are the ulimits that services ask for and this machine will not give: a
// container has the highest that is allowed, with a warning. refused says why a limit
// cannot be had, empty if it can.
func Unraisable(st *spec.Stack, services []string, refused func(specs.POSIXRlimit) (string, error)) (spec.Diagnostics, error) {
	var out spec.Diagnostics
	for _, name := range services {
		limits, err := rlimits(st.Services[name].Ulimits)
		if err != nil {
			return nil, fmt.Errorf("service %q: %w", name, err)
		}
		for _, l := range limits {
			why, err := refused(l)
			if err != nil {
				return nil, err
			}
			if why != "" {
				out = append(out, st.Finding("ulimit", why, "services", name, "ulimits", strings.ToLower(strings.TrimPrefix(l.Type, "RLIMIT_"))))
			}
		}
	}
	return out, nil
}
