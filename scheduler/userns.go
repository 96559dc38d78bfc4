package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// HostUserNS reports whether a service runs in the host's user namespace: where
// the file says so, where it is privileged, where it shares another namespace of
// the host (which only the host's root may configure), and where it joins a
// service for which one of these holds.
func HostUserNS(p *types.Project, s types.ServiceConfig) bool { return hostUserNSCause(p, s) != "" }

// hostUserNSCause is what of the file puts a service there, empty if nothing does.
func hostUserNSCause(p *types.Project, s types.ServiceConfig) string {
	if own := ownHostUserNS(s); own != "" {
		return own
	}
	for _, owner := range owners(p, s) {
		if own := ownHostUserNS(owner); own != "" {
			return fmt.Sprintf("it shares namespaces with service %q, which has %s", owner.Name, own)
		}
	}
	return ""
}

// owners are the services whose namespaces a service shares, and those whose they
// share.
func owners(p *types.Project, s types.ServiceConfig) []types.ServiceConfig {
	seen := map[string]bool{s.Name: true}
	all := joinedServices(p, s)
	for n := 0; n < len(all); n++ {
		if !seen[all[n].Name] {
			seen[all[n].Name] = true
			all = append(all, joinedServices(p, all[n])...)
		}
	}
	return all
}

// ownHostUserNS is the setting of a service itself that puts it there.
func ownHostUserNS(s types.ServiceConfig) string {
	if s.Privileged {
		return "privileged: true"
	}
	for _, m := range [][2]string{
		{"userns_mode", s.UserNSMode}, {"network_mode", s.NetworkMode}, {"pid", s.Pid}, {"ipc", s.Ipc},
	} {
		if m[1] == hostMode {
			return m[0] + ": " + hostMode
		}
	}
	return ""
}

// joinedServices are the services whose namespaces a service shares.
func joinedServices(p *types.Project, s types.ServiceConfig) []types.ServiceConfig {
	var out []types.ServiceConfig
	for _, ref := range joined(s) {
		name, ok := strings.CutPrefix(ref, types.ServicePrefix)
		if next, known := p.Services[name]; ok && known {
			out = append(out, next)
		}
	}
	return out
}

// checkUserNS refuses a service that gives up its user namespace and shares the
// namespaces of one that does not: what either does with the other's files and
// processes would depend on which of the two does it.
func checkUserNS(p *types.Project, s types.ServiceConfig) error {
	own := ownHostUserNS(s)
	if own == "" {
		return nil
	}
	for _, owner := range joinedServices(p, s) {
		if !HostUserNS(p, owner) {
			return fmt.Errorf("service %q has %s, but shares namespaces with service %q, which has a user namespace: set userns_mode: host on %q, too", s.Name, own, owner.Name, owner.Name)
		}
	}
	return nil
}

// UserNSBefore is where an earlier run of a container was. Its files have their
// owners accordingly, so it stays there.
type UserNSBefore int

const (
	UserNSUndecided UserNSBefore = iota // no run yet
	UserNSOwn
	UserNSHost
)

// userNamespace decides which ids the container has. One that joins namespaces
// must live in the user namespace that owns them, or it could not use them.
func (t *translator) userNamespace() (*specs.LinuxNamespace, error) {
	refs := joined(t.s)
	own := ownHostUserNS(t.s) != ""
	for _, ref := range refs {
		if t.in.Peers[ref].Pid <= 0 {
			return nil, fmt.Errorf("%s is not running", ref)
		}
		if a, b := t.in.Peers[refs[0]], t.in.Peers[ref]; a.UserNS != b.UserNS && !own {
			return nil, fmt.Errorf("%s and %s are in different user namespaces: join both through one, or set userns_mode: host", refs[0], ref)
		}
	}
	switch {
	case own, len(refs) == 0 && HostUserNS(t.in.Project, t.s):
		return nil, nil
	case len(refs) == 0:
		host, err := t.fallsBack()
		if t.ids = t.in.IDs; err != nil || t.ids == nil || host {
			t.ids = nil
			return nil, err
		}
		return &specs.LinuxNamespace{Type: specs.UserNamespace}, nil
	}
	peer := t.in.Peers[refs[0]]
	if before := t.in.UserNSBefore; before != UserNSUndecided && (before == UserNSHost) != (peer.IDs == nil) {
		return nil, fmt.Errorf("%s runs in another user namespace than when this container ran last, whose files belong to strangers there: recreate it", refs[0])
	}
	if t.ids = peer.IDs; t.ids == nil {
		return nil, nil
	}
	if base := t.in.IDBaseBefore; base != 0 && base != t.ids.Base {
		return nil, fmt.Errorf("%s has other ids than when this container ran last, whose files belong to strangers there: recreate it", refs[0])
	}
	return &specs.LinuxNamespace{Type: specs.UserNamespace, Path: fmt.Sprintf("/proc/%d/ns/user", peer.Pid)}, nil
}

// fallsBack reports whether a container that should have a user namespace runs in
// the host's, because the kernel refuses to map the ids of what it mounts.
func (t *translator) fallsBack() (bool, error) {
	source := unmappable(t.in.Owners)
	switch {
	case t.in.UserNSBefore == UserNSOwn:
		return false, nil // see mapBind
	case source != "" && t.in.Strict:
		return false, fmt.Errorf("the file system of %q cannot be id-mapped, and --strict was asked for: it would run in the host's user namespace", source)
	case source != "":
		t.warn("%s", refusedMapping(source))
	case t.in.UserNSBefore == UserNSHost:
		t.warn("runs in the host's user namespace, as it did before: recreate it to give it one of its own")
	default:
		return false, nil
	}
	return true, nil
}

// unmappable is the first bind source that cannot be id-mapped.
func unmappable(owners map[string]BindOwner) string {
	for _, source := range slices.Sorted(maps.Keys(owners)) {
		if owners[source].Plain {
			return source
		}
	}
	return ""
}

func refusedMapping(source string) string {
	return fmt.Sprintf("runs in the host's user namespace, as with userns_mode: host, because the file system of %q cannot be id-mapped", source)
}
