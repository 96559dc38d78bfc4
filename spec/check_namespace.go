package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// checkNamespaces: the ways to share a namespace are those that are built.
func checkNamespaces(m *model, r *report) {
	own := []string{"userns_mode", "uts", "cgroup"} // shared with the host only
	allowed := map[string][]string{
		"network_mode": {"none", "host"},
		"pid":          {"host"},
		"ipc":          {"host", "private", "shareable", "none"},
		"userns_mode":  {"host"},
		"uts":          {"host"},
		"cgroup":       {"host", "private"},
	}
	for _, s := range m.enabled() {
		for key, modes := range allowed {
			v := s.v.get(key)
			if v != nil && v.kind == scalar && v.data == nil {
				r.addf(v.at, "type", "%s cannot be null", key) // compose-go panics
				continue
			}
			if v.text() == "" || slices.Contains(modes, v.text()) {
				continue
			}
			if !slices.Contains(own, key) {
				if joinsOther(m, r, v) {
					continue
				}
				modes = append(modes, "service:NAME", "container:NAME")
			}
			r.add(v.at, "unsupported", fmt.Sprintf("%s %q is not supported: it can be %s", key, v.text(), strings.Join(modes, ", ")),
				DidYouMean(v.text(), modes))
		}
	}
}

// joinsOther reports whether a mode names a service, or a container of another
// stack. One of this stack is to be named by its service: that orders their starts.
func joinsOther(m *model, r *report, mode *value) bool {
	if name, ok := strings.CutPrefix(mode.text(), types.ServicePrefix); ok {
		return name != ""
	}
	name, ok := strings.CutPrefix(mode.text(), types.ContainerPrefix)
	if !ok || name == "" {
		return false
	}
	for _, s := range m.enabled() {
		if s.v.get("container_name").text() == name {
			r.add(mode.at, "namespaces", fmt.Sprintf("container %q is service %q of this stack", name, s.name), "write service:"+s.name)
		}
	}
	return true
}
