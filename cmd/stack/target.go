package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"stack/scheduler"
	"stack/spec"
)

// live reports whether a container has processes.
func live(i *scheduler.Instance) bool {
	return i.Status() == "running" || i.Status() == "paused"
}

// runningContainer is the container that exec, attach and port are about: the
// replica with that number, or the lowest one; a container of run where there is
// no replica.
func (a *app) runningContainer(ctx context.Context, s *scheduler.Store, service string, index int) (*scheduler.Instance, error) {
	all, err := s.Current(time.Now())
	if err != nil {
		return nil, err
	}
	list := containersOf(all, service)
	for _, i := range list {
		if live(i) && (index == 0 || i.Number == index && !i.OneOff) {
			return i, nil
		}
	}
	if err := a.known(ctx, s, list, []string{service}); err != nil {
		return nil, err
	}
	if index > 0 {
		return nil, fmt.Errorf("service %q is not running container #%d", service, index)
	}
	return nil, fmt.Errorf("service %q is not running", service)
}

// running is the container that attach and exec enter, which only root may.
func (a *app) running(ctx context.Context, service string, index int) (*scheduler.Store, *scheduler.Instance, error) {
	if err := a.root(); err != nil {
		return nil, nil, err
	}
	s, err := a.store(ctx)
	if err != nil {
		return nil, nil, err
	}
	i, err := a.runningContainer(ctx, s, service, index)
	return s, i, err
}

// storeWith is the project's store, if the recorded stack or the file has the services.
func (a *app) storeWith(ctx context.Context, services []string) (*scheduler.Store, error) {
	s, err := a.store(ctx)
	if err != nil {
		return nil, err
	}
	return s, a.known(ctx, s, nil, services)
}

// current are the project's store and containers, if services are known.
func (a *app) current(ctx context.Context, services []string) (*scheduler.Store, []*scheduler.Instance, error) {
	s, err := a.store(ctx)
	if err != nil {
		return nil, nil, err
	}
	list, err := s.Current(time.Now())
	if err != nil {
		return nil, nil, err
	}
	return s, list, a.known(ctx, s, list, services)
}

// known reports the first service that neither has a container nor is in the
// recorded stack or the file.
func (a *app) known(ctx context.Context, s *scheduler.Store, list []*scheduler.Instance, services []string) error {
	without := slices.DeleteFunc(slices.Clone(services), func(name string) bool { return has(list, name) })
	if len(without) == 0 {
		return nil
	}
	recorded := s.Recorded()
	without = slices.DeleteFunc(without, func(name string) bool { return declares(recorded, name) })
	if len(without) == 0 {
		return nil
	}
	st, err := a.loadNames(ctx)
	if err != nil {
		return recorded.NoService(without[0])
	}
	_, err = st.Select(without, false)
	return err
}

func declares(st *spec.Stack, service string) bool {
	_, ok := st.Services[service]
	return ok
}

// has reports whether a service has a container that is not of run.
func has(list []*scheduler.Instance, service string) bool {
	return slices.ContainsFunc(list, func(i *scheduler.Instance) bool { return i.Service == service && !i.OneOff })
}

// containersOf lists a service's replicas by number, then its one-offs.
func containersOf(all []*scheduler.Instance, service string) []*scheduler.Instance {
	list := slices.DeleteFunc(slices.Clone(all), func(i *scheduler.Instance) bool { return i.Service != service })
	slices.SortStableFunc(list, func(a, b *scheduler.Instance) int {
		if a.OneOff != b.OneOff {
			if a.OneOff {
				return 1
			}
			return -1
		}
		return a.Number - b.Number
	})
	return list
}

// root refuses what only root may do, with the command to type instead.
func (a *app) root() error {
	if os.Geteuid() != 0 {
		return errors.New(needRoot(os.Args))
	}
	return nil
}
