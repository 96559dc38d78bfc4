package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// neverHonoured are keys that mean nothing on one Linux machine, or that would take
// a service from outside it.
func neverHonoured() []string {
	return slices.Concat(
		[]string{"version", "models", "services.*.models", "services.*.provider", "services.*.use_api_socket"},
		// Windows and macOS.
		prefix("services.*.", "credential_spec", "isolation", "build.isolation", "cpu_count", "cpu_percent", "volumes.[].consistency"),
		// Not in the specification, or of its first version.
		prefix("services.*.", "net", "dockerfile", "log_driver", "log_opt", "volume_driver", "external_links"),
		// What the machine's security modules would have to give.
		prefix("services.*.", "volumes.[].bind.selinux"),
		// RUN --mount says it.
		prefix("services.*.build.secrets.[].", "uid", "gid", "mode"),
		// Options of device drivers, which are plug-ins of a daemon.
		prefix("services.*.", "gpus.[].options", "deploy.resources.reservations.devices.[].options"),
		// A swarm's: several machines, and stores beside the file.
		prefix("services.*.deploy.", "placement", "resources.reservations.pids",
			"resources.limits.devices", "resources.limits.generic_resources"),
		prefix("secrets.*.", "external", "driver", "driver_opts", "template_driver"),
		prefix("configs.*.", "external", "driver", "driver_opts", "template_driver"),
	)
}

// pendingKeys are not honoured yet; the number is that of the issue that builds
// them. The list may only become shorter.
func pendingKeys() map[string]int {
	return map[string]int{}
}

func prefix(p string, keys ...string) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = p + k
	}
	return out
}

// TestEveryKeyIsHonoured but those that never will be, and those that wait for
// their issue, which it prints.
func TestEveryKeyIsHonoured(t *testing.T) {
	off := map[string]bool{}
	for _, line := range supportTable() {
		if line.standing != honoured {
			off[asService(line.path)] = true
		}
	}
	pending, never := pendingKeys(), neverHonoured()
	for _, path := range slices.Sorted(maps.Keys(off)) {
		_, waits := pending[path]
		if waits == slices.Contains(never, path) {
			t.Errorf("%s is not honoured: it must stand in one of the two lists, and not in both", path)
		}
	}
	for _, path := range slices.Concat(never, slices.Collect(maps.Keys(pending))) {
		if !off[path] {
			t.Errorf("%s is honoured, or gone: take it off the list", path)
		}
	}
	var left []string
	for path, issue := range pending {
		left = append(left, fmt.Sprintf("issue %d: %s", issue, path))
	}
	slices.Sort(left)
	t.Logf("not built yet:\n%s", strings.Join(left, "\n"))
}

// asService is the key of services whose line, and code, another key shares: those
// of init containers and of jobs.
func asService(key string) string {
	for _, p := range []string{"services.*.pre_start.[].", "jobs.*."} {
		rest, ok := strings.CutPrefix(key, p)
		if ok && !strings.HasPrefix(rest, "triggers") {
			return "services.*." + rest
		}
	}
	return key
}
