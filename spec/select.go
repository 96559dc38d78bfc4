package spec

import (
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// Select returns the stack with only the named services enabled, and with
// withDeps all they need, directly or not; the others become DisabledServices.
// Naming a service turns its profiles on. No names: the stack itself. Resources
// are kept; Project.WithoutUnnecessaryResources drops them.
//
// compose-go's WithSelectedServices copies the project once for each service it
// disables.
func (s *Stack) Select(names []string, withDeps bool) (*Stack, error) {
	if len(names) == 0 {
		return s, nil
	}
	p := *s.Project
	all := p.AllServices()
	p.Profiles = slices.Clone(p.Profiles)
	for _, name := range names {
		service, ok := all[name]
		if !ok {
			return nil, s.NoService(name)
		}
		if _, on := p.Services[name]; !on {
			p.Profiles = append(p.Profiles, service.Profiles...)
		}
	}
	kept := map[string]bool{}
	for _, name := range names {
		if err := keep(&p, all, name, withDeps, kept); err != nil {
			return nil, err
		}
	}
	p.Services, p.DisabledServices = types.Services{}, types.Services{}
	for name, service := range all {
		if !kept[name] {
			p.DisabledServices[name] = service
			continue
		}
		service.DependsOn = maps.Clone(service.DependsOn)
		maps.DeleteFunc(service.DependsOn, func(to string, _ types.ServiceDependency) bool { return !kept[to] })
		p.Services[name] = service
	}
	return &Stack{Project: &p, positions: s.positions, Digests: s.Digests, Warnings: s.Warnings}, nil
}

// keep marks a service and what it depends on.
func keep(p *types.Project, all types.Services, name string, deps bool, kept map[string]bool) error {
	if kept[name] {
		return nil
	}
	kept[name] = true
	if !deps {
		return nil
	}
	for to, d := range all[name].DependsOn {
		dependency, ok := all[to]
		switch {
		case ok && dependency.HasProfile(p.Profiles):
			if err := keep(p, all, to, deps, kept); err != nil {
				return err
			}
		case d.Required && !ok:
			return fmt.Errorf("service %q depends on undefined service %q", name, to)
		case d.Required && !kept[to]:
			return fmt.Errorf("service %q depends on %q, which needs one of the profiles %v", name, to, dependency.Profiles)
		}
	}
	return nil
}
