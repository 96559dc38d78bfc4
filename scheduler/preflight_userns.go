package scheduler

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// Unmappable are the bind mounts for whose sake services, which should have a user
// namespace, will run in the host's: the kernel refuses to map their ids.
func (s *Store) Unmappable(st *spec.Stack, services []string) spec.Diagnostics {
	var out spec.Diagnostics
	for _, name := range services {
		svc, ok := st.Services[name]
		if !ok || s.IDMap == nil || HostUserNS(st.Project, svc) {
			continue
		}
		for n, v := range svc.Volumes {
			if source := bindSource(st.Project, v); source != "" && s.IDMap(standing(source)) != nil {
				out = append(out, st.Finding("userns", fmt.Sprintf("service %q %s", name, refusedMapping(source)),
					"services", name, "volumes", strconv.Itoa(n)))
				break
			}
		}
	}
	return out
}

// bindSource is the directory of the host that a mount, or the volume behind it,
// shows; empty if it shows none.
func bindSource(p *types.Project, v types.ServiceVolumeConfig) string {
	switch v.Type {
	case types.VolumeTypeBind:
		return v.Source
	case types.VolumeTypeVolume:
		if s, err := ParseVolumeOptions(p.Volumes[v.Source].DriverOpts); err == nil {
			return s.Bind
		}
	}
	return ""
}

// standing is path, or what exists of it: where it will be made.
func standing(path string) string {
	for path != "/" {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		path = filepath.Dir(path)
	}
	return path
}

// openUserNS tells which of some services run in the host's user namespace, and why.
func (s *Store) openUserNS(st *spec.Stack, services []string) []string {
	var out []string
	for _, name := range slices.Sorted(slices.Values(services)) {
		svc, ok := st.Services[name]
		if !ok {
			continue
		}
		cause := hostUserNSCause(st.Project, svc)
		for _, owner := range owners(st.Project, svc) {
			if cause == "" && len(s.Unmappable(st, []string{owner.Name})) > 0 {
				cause = fmt.Sprintf("it shares namespaces with service %q, which does", owner.Name)
			}
		}
		if cause != "" {
			out = append(out, fmt.Sprintf("service %q runs in the host's user namespace: %s", name, cause))
			continue
		}
		for _, d := range s.Unmappable(st, []string{name}) {
			out = append(out, d.Message)
		}
	}
	return out
}
