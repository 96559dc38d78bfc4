package main

import (
	"fmt"
	"slices"
	"time"

	"stack/scheduler"
)

// live reports whether a container has processes.
func live(i *scheduler.Instance) bool {
	return i.Status() == "running" || i.Status() == "paused"
}

// runningContainer is the container that exec, attach and port are about: the
// replica with that number, or the lowest one; a container of run where there is
// no replica.
func runningContainer(s *scheduler.Store, service string, index int) (*scheduler.Instance, error) {
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
	switch {
	case len(list) == 0 && !s.Declares(service):
		return nil, fmt.Errorf("no such service: %s", service)
	case index > 0:
		return nil, fmt.Errorf("service %q is not running container #%d", service, index)
	}
	return nil, fmt.Errorf("service %q is not running", service)
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
