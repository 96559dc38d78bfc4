package spec

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// model is what the rules judge: the merged tree and who takes part.
type model struct {
	root     *value
	name     string
	env      types.Mapping
	profiles []string
	opts     Options
	services []*service
	jobs     []*service
	byName   map[string]*service
	// partial says that a file is missing from the tree, so that what it may
	// have defined cannot be called undefined.
	partial bool
	// composed says that more than one file or document was merged, or that a
	// service extends another.
	composed bool
}

// service is one service of the merged tree, or a job, which is judged like one.
type service struct {
	name string
	v    *value
	job  bool
	// enabled says that no profile disables it; used that the selection, if any,
	// includes it too.
	enabled, used bool
	edges         []edge
}

// edge is a reference from a service to another.
type edge struct {
	to       string
	at       place
	required bool
	via      string // the attribute
}

func newModel(root *value, name string, profiles []string, env types.Mapping, o Options) *model {
	m := &model{root: root, name: name, profiles: profiles, env: env, opts: o, byName: map[string]*service{}}
	root.get("services").each(func(name string, v *value) {
		s := &service{name: name, v: v, edges: edges(v)}
		m.services = append(m.services, s)
		m.byName[name] = s
	})
	root.get("jobs").each(func(name string, v *value) {
		s := &service{name: name, v: v, job: true, edges: edges(v)}
		m.jobs = append(m.jobs, s)
		m.byName[name] = s
	})
	for _, name := range o.Services {
		if s := m.byName[name]; s != nil {
			m.profiles = append(slices.Clip(m.profiles), s.profiles()...)
		}
	}
	for _, s := range m.all() {
		s.enabled = types.ServiceConfig{Profiles: s.profiles()}.HasProfile(m.profiles)
		s.used = s.enabled && len(o.Services) == 0
	}
	for _, name := range o.Services {
		m.use(name, !o.NoDeps)
	}
	return m
}

func (s *service) profiles() []string {
	var out []string
	for _, p := range s.v.get("profiles").list() {
		out = append(out, p.text())
	}
	return out
}

// use marks a service, and all it refers to when deps is set.
func (m *model) use(name string, deps bool) {
	s := m.byName[name]
	if s == nil || s.used {
		return
	}
	s.used = true
	if !deps {
		return
	}
	for _, e := range s.edges {
		m.use(e.to, deps)
	}
}

// all are the services and the jobs, in the order they were written.
func (m *model) all() []*service { return slices.Concat(m.services, m.jobs) }

// enabled are those whose profile is on.
func (m *model) enabled() []*service {
	return slices.DeleteFunc(m.all(), func(s *service) bool { return !s.enabled })
}

// used are the enabled ones that were selected, or that all are.
func (m *model) used() []*service {
	return slices.DeleteFunc(m.all(), func(s *service) bool { return !s.used })
}

// source names the first file, for what has no better place.
func (m *model) source() string {
	if m.root.at.from != nil {
		return m.root.at.from.file.name
	}
	return ""
}

// sharing are attributes that join a namespace of another service.
var sharing = []string{"network_mode", "ipc", "pid", "uts", "cgroup"}

// edges are the references of a service to others.
func edges(v *value) []edge {
	var out []edge
	v.get("depends_on").names(func(name string, at place, member *value) {
		required := member.get("required")
		out = append(out, edge{name, at, required == nil || required.truth(), "depends_on"})
	})
	for _, item := range v.get("links").list() {
		name, _, _ := strings.Cut(item.text(), ":")
		out = append(out, edge{name, item.at, true, "links"})
	}
	for _, item := range v.get("volumes_from").list() {
		if name, _, _ := strings.Cut(item.text(), ":"); name != "container" {
			out = append(out, edge{name, item.at, true, "volumes_from"})
		}
	}
	for _, attribute := range sharing {
		ns := v.get(attribute)
		if name, ok := strings.CutPrefix(ns.text(), types.ServicePrefix); ok {
			out = append(out, edge{name, ns.at, true, attribute})
		}
	}
	return out
}

// expanded is the tree for At: ports are repeated as often as compose-go's
// ranges expand, so that indices agree with the project's.
func (m *model) expanded() *value {
	for _, s := range m.all() {
		ports := s.v.get("ports")
		if ports == nil || ports.kind != sequence {
			continue
		}
		var items []*value
		for _, item := range ports.items {
			n := 1
			if item.kind == scalar {
				if parsed, err := types.ParsePortConfig(item.text()); err == nil {
					n = len(parsed)
				}
			}
			items = append(items, slices.Repeat([]*value{item}, n)...)
		}
		ports.items = items
	}
	return m.root
}
