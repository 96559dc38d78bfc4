package main

import (
	"context"
	"fmt"

	"stack/runtime/native"
	"stack/scheduler"
)

// neighbour finds a running container of whatever project by its name or ID.
func (a *app) neighbour(ctx context.Context, container string) (scheduler.Peer, error) {
	projects, err := a.layout.Projects()
	if err != nil {
		return scheduler.Peer{}, err
	}
	for _, name := range projects {
		s := a.storeOf(name)
		p, ok, err := s.Neighbour(ctx, a.runtimes(s, native.Options{}), container)
		if ok || err != nil {
			return p, err
		}
	}
	return scheduler.Peer{}, fmt.Errorf("there is no container %s", container)
}
