package spec

import (
	"context"
	"maps"
	"runtime"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"
)

// minShare is the least number of services worth a goroutine.
const minShare = 32

// assemble lets compose-go make the project. It takes its time service by service, most
// of it for matching paths, so a tree of many services is loaded in shares.
func (j *job) assemble(ctx context.Context) (*types.Project, error) {
	shares := min(runtime.GOMAXPROCS(0), len(j.model.services)/minShare)
	if j.model.composed || shares < 2 {
		return loader.LoadWithContext(ctx, j.details(0, 1), j.loaderOptions)
	}
	return j.inShares(ctx, shares)
}

// inShares loads n parts of the services at once, each with the networks, since
// compose-go adds the default one where a service needs it, and joins them.
func (j *job) inShares(ctx context.Context, n int) (*types.Project, error) {
	projects := make([]*types.Project, n)
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			return guard("load", func() (err error) {
				projects[i], err = loader.LoadWithContext(ctx, j.details(i, n), j.loaderOptions)
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	whole := projects[0]
	for _, p := range projects[1:] {
		maps.Copy(whole.Services, p.Services)
		maps.Copy(whole.DisabledServices, p.DisabledServices)
		for name, network := range p.Networks {
			if whole.Networks == nil {
				whole.Networks = types.Networks{}
			}
			whole.Networks[name] = network
		}
	}
	return whole, nil
}

// share is the tree with the i-th of n parts of the services; everything that
// services have no part in is in the first.
func (m *model) share(i, n int) map[string]any {
	tree := newMapping(m.root.at)
	m.root.each(func(name string, v *value) {
		if i == 0 || name == "networks" {
			tree.set(name, v)
		}
	})
	services := newMapping(place{})
	first, end := i*len(m.services)/n, (i+1)*len(m.services)/n
	for _, s := range m.services[first:end] {
		services.set(s.name, s.v)
	}
	tree.set("services", services)
	plain, _ := tree.plain().(map[string]any)
	return plain
}
