package spec

import (
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// WithJobs returns the stack with the jobs that take part among its services: those
// with a schedule; those named, without replicas since `run` makes the container; and
// those that a service or such a job depends on, which run once as services do that
// end. All stay in Project.Jobs. What profile a named job has does not matter, as for
// services.
func (s *Stack) WithJobs(names ...string) (*Stack, error) {
	jobs := s.AllJobs()
	if len(jobs) == 0 {
		return s, nil
	}
	taken := types.Services{}
	for _, name := range names {
		if job, ok := jobs[name]; ok {
			if t := job.Triggers; t != nil && t.Manual != nil && !*t.Manual {
				return nil, fmt.Errorf("job %q is not run by hand: its triggers say manual: false", name)
			}
			taken[name] = jobService(job, 0)
		}
	}
	for name, job := range s.Jobs {
		if len(jobSchedule(job).Times) > 0 {
			taken[name] = jobService(job, 1)
		}
	}
	for _, service := range s.Services {
		takeJobs(service, jobs, taken)
	}
	for _, job := range maps.Clone(taken) {
		takeJobs(job, jobs, taken)
	}
	if len(taken) == 0 {
		return s, nil
	}
	p := *s.Project
	var err error
	if p.Services, err = resolved(p, taken); err != nil {
		return nil, err
	}
	maps.Copy(p.Services, s.Services)
	return &Stack{Project: &p, positions: s.positions, Digests: fileDigests(&p), Files: s.Files, Sources: hostSources(&p), Warnings: s.Warnings}, nil
}

// takeJobs takes what a service depends on.
func takeJobs(of types.ServiceConfig, jobs types.Jobs, taken types.Services) {
	for name := range of.DependsOn {
		job, ok := jobs[name]
		if _, done := taken[name]; ok && !done {
			taken[name] = jobService(job, 1)
			takeJobs(taken[name], jobs, taken)
		}
	}
}

func jobService(j types.JobConfig, scale int) types.ServiceConfig {
	return types.ServiceConfig{Name: j.Name, Scale: &scale, ContainerSpec: j.ContainerSpec, WorkloadSpec: j.WorkloadSpec, Extensions: j.Extensions}
}

// resolved are services with what their env and label files say.
func resolved(p types.Project, services types.Services) (types.Services, error) {
	p.Services = services
	out, err := p.WithServicesEnvironmentResolved(false)
	if err == nil {
		out, err = out.WithServicesLabelsResolved(false)
	}
	if err != nil {
		return nil, err
	}
	return out.Services, nil
}

// needed are those that the command at hand may start: a job without a schedule waits
// to be named.
func (m *model) needed() []*service {
	return slices.DeleteFunc(m.used(), func(s *service) bool {
		return s.job && len(s.schedules()) == 0 && !slices.Contains(m.opts.Services, s.name)
	})
}
