package scheduler

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Condition is what a dependency must have reached, in Compose's words.
type Condition string

const (
	ConditionStarted   Condition = types.ServiceConditionStarted
	ConditionHealthy   Condition = types.ServiceConditionHealthy
	ConditionCompleted Condition = types.ServiceConditionCompletedSuccessfully
)

// EdgeKind is the key of the stack file that makes one service need another.
type EdgeKind string

const (
	EdgeDependsOn   EdgeKind = "depends_on"
	EdgeLinks       EdgeKind = "links"
	EdgeVolumesFrom EdgeKind = "volumes_from"
	EdgeNetwork     EdgeKind = "network_mode"
	EdgeIPC         EdgeKind = "ipc"
	EdgePID         EdgeKind = "pid"
)

// Edge is one dependency between two services.
type Edge struct {
	// Service is the other end: what is needed (Needs), or who needs (Dependents).
	Service   string
	Condition Condition
	// Required is unset for a dependency whose failure only warns.
	Required bool
	// Restart says that the dependent restarts when the dependency is recreated.
	Restart bool
	// Kind is the closest tie where a service names another in several keys: a
	// shared namespace first, then depends_on, links, volumes_from.
	Kind EdgeKind
}

// Shares reports whether the dependent lives in a namespace of the dependency
// and so must be recreated, not only restarted, together with it.
func (e Edge) Shares() bool {
	return e.Kind == EdgeNetwork || e.Kind == EdgeIPC || e.Kind == EdgePID
}

// Graph is which service of a project needs which. It does not change once made.
type Graph struct {
	needs      map[string][]Edge
	dependents map[string][]Edge
	order      []string
}

// CycleError is a dependency of a service on itself. Path starts and ends with
// the same service, the alphabetically first of the cycle.
type CycleError struct{ Path []string }

func (e *CycleError) Error() string {
	return "dependency cycle: " + strings.Join(e.Path, " → ")
}

// NewGraph builds the graph of a project's enabled services. An optional
// dependency (required: false) on a service that is not there is left out.
// Errors: *CycleError; a required service that is not in the project.
func NewGraph(p *types.Project) (*Graph, error) {
	g := &Graph{needs: map[string][]Edge{}, dependents: map[string][]Edge{}}
	names := p.ServiceNames()
	for _, name := range names {
		for _, e := range serviceEdges(p.Services[name]) {
			if _, ok := p.Services[e.Service]; ok {
				g.connect(name, e)
			} else if e.Required {
				return nil, fmt.Errorf("cannot order service %q: %s names service %q, which is not in the project or not enabled",
					name, e.Kind, e.Service)
			}
		}
	}
	if cycle := g.cycle(names); cycle != nil {
		return nil, &CycleError{Path: cycle}
	}
	g.order = g.sort(names)
	return g, nil
}

func (g *Graph) connect(from string, e Edge) {
	g.needs[from] = append(g.needs[from], e)
	back := e
	back.Service = from
	g.dependents[e.Service] = append(g.dependents[e.Service], back)
}

// Needs returns what a service depends on directly, one edge a service, by name.
func (g *Graph) Needs(service string) []Edge { return slices.Clone(g.needs[service]) }

// Dependents returns the services that depend on service directly, by name;
// Edge.Service is the dependent.
func (g *Graph) Dependents(service string) []Edge { return slices.Clone(g.dependents[service]) }

// Order returns every service, each after all it depends on; among those that
// could come next the alphabetically first does.
func (g *Graph) Order() []string { return slices.Clone(g.order) }

// Reverse returns every service, each before all it depends on: the order to
// stop in.
func (g *Graph) Reverse() []string {
	r := g.Order()
	slices.Reverse(r)
	return r
}

// Closure returns the named services and everything they need, in Order. Names
// that are not in the graph are left out.
func (g *Graph) Closure(services ...string) []string {
	return g.reach(services, g.needs)
}

// Above returns the named services and everything that needs them, in Order.
func (g *Graph) Above(services ...string) []string {
	return g.reach(services, g.dependents)
}

func (g *Graph) reach(from []string, edges map[string][]Edge) []string {
	seen := map[string]bool{}
	todo := slices.Clone(from)
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[name] {
			continue
		}
		seen[name] = true
		for _, e := range edges[name] {
			todo = append(todo, e.Service)
		}
	}
	return slices.DeleteFunc(g.Order(), func(n string) bool { return !seen[n] })
}

// sort is Kahn's algorithm with a sorted ready list.
func (g *Graph) sort(names []string) []string {
	missing := map[string]int{}
	var ready, order []string
	for _, n := range names {
		if missing[n] = len(g.needs[n]); missing[n] == 0 {
			ready = append(ready, n)
		}
	}
	for len(ready) > 0 {
		next := ready[0]
		ready = ready[1:]
		order = append(order, next)
		for _, e := range g.dependents[next] {
			if missing[e.Service]--; missing[e.Service] == 0 {
				at, _ := slices.BinarySearch(ready, e.Service)
				ready = slices.Insert(ready, at, e.Service)
			}
		}
	}
	return order
}

// cycle returns a closed path, or nil.
func (g *Graph) cycle(names []string) []string {
	done := map[string]bool{}
	var path []string
	var visit func(string) []string
	visit = func(n string) []string {
		if at := slices.Index(path, n); at >= 0 {
			return closePath(path[at:])
		}
		if done[n] {
			return nil
		}
		path = append(path, n)
		for _, e := range g.needs[n] {
			if c := visit(e.Service); c != nil {
				return c
			}
		}
		path = path[:len(path)-1]
		done[n] = true
		return nil
	}
	for _, n := range names {
		if c := visit(n); c != nil {
			return c
		}
	}
	return nil
}

func closePath(loop []string) []string {
	first := slices.Index(loop, slices.Min(loop))
	path := slices.Concat(loop[first:], loop[:first])
	return append(path, path[0])
}
