package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stack/scheduler"
	"stack/spec"
)

// create asks for the container of a run and returns its record.
func (a *app) create(ctx context.Context, s *scheduler.Store, cmd scheduler.Command) (*scheduler.Instance, error) {
	var made *scheduler.Instance
	p := newProgress(a)
	err := a.send(ctx, s, cmd, func(r scheduler.Reply) {
		if r.Created != nil {
			made = r.Created
		}
		p.show(r)
	})
	if err == nil && made == nil {
		err = errors.New("the controller made no container")
	}
	return made, err
}

// giveUp ends a run that failed: a program that cannot be started gives its code,
// and an interrupted run leaves nothing behind.
func (a *app) giveUp(ctx context.Context, s *scheduler.Store, o *runOptions, made *scheduler.Instance, err error) error {
	if made != nil && (o.run.Remove || ctx.Err() != nil) && !o.detach {
		a.discard(ctx, s, made) // the first error counts
	}
	var start *scheduler.StartError
	if errors.As(err, &start) && start.Code != 0 {
		fmt.Fprintf(a.stderr, "stack: %v\n", start)
		return exitError(start.Code)
	}
	return err
}

// discard removes a container of run, which somebody else may have done.
func (a *app) discard(ctx context.Context, s *scheduler.Store, i *scheduler.Instance) error {
	cmd := scheduler.Command{Verb: scheduler.VerbRemove, Containers: []string{i.ID}, Force: true}
	err := a.send(context.WithoutCancel(ctx), s, cmd, quietly)
	if err == nil {
		return nil
	}
	list, listErr := s.Current(time.Now())
	if listErr == nil && !slices.ContainsFunc(list, func(l *scheduler.Instance) bool { return l.ID == i.ID }) {
		return nil
	}
	return err
}

// loadFor reads the stack with the profiles turned on that the services need. Jobs
// that are named, or that services need, stand among the services.
func (a *app) loadFor(ctx context.Context, services ...string) (*spec.Stack, error) {
	st, err := a.loadServices(ctx, nil, services)
	if err != nil {
		return nil, err
	}
	st.Warnings.Render(a.stderr, a.colors(a.stderr))
	return st.WithJobs(services...)
}

// loadServices is loadFor without a word, and without jobs. seen, unless nil, is told
// of every file that is looked for.
func (a *app) loadServices(ctx context.Context, seen func(string), services []string) (*spec.Stack, error) {
	o := a.specOptions()
	o.Seen = seen
	st, err := spec.Load(ctx, o)
	if err != nil {
		return nil, err
	}
	var more []string
	for _, name := range services {
		if _, on := st.Services[name]; !on {
			more = append(append(more, st.DisabledServices[name].Profiles...), st.DisabledJobs[name].Profiles...)
		}
	}
	if len(more) > 0 {
		a.profiles = append(slices.Clone(st.Profiles), more...)
		o.Profiles = a.profiles
		return spec.Load(ctx, o)
	}
	return st, nil
}
