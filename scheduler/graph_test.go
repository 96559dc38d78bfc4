package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"pgregory.net/rapid"
)

func projectOf(services ...types.ServiceConfig) *types.Project {
	p := &types.Project{Name: "shop", Services: types.Services{}}
	for _, s := range services {
		p.Services[s.Name] = s
	}
	return p
}

func needing(name string, deps ...string) types.ServiceConfig {
	s := types.ServiceConfig{Name: name}
	for _, d := range deps {
		if s.DependsOn == nil {
			s.DependsOn = types.DependsOnConfig{}
		}
		s.DependsOn[d] = types.ServiceDependency{Condition: types.ServiceConditionStarted, Required: true}
	}
	return s
}

func TestGraphReadsEveryTie(t *testing.T) {
	web := types.ServiceConfig{Name: "web", Links: []string{"db:database"}}
	web.DependsOn = types.DependsOnConfig{
		"cache": {Condition: types.ServiceConditionHealthy, Required: true, Restart: true},
		"gone":  {Required: false},
		"side":  {Condition: types.ServiceConditionHealthy},
	}
	web.VolumesFrom = []string{"files:ro", "container:other"}
	web.NetworkMode = "service:side"
	web.Ipc = "service:cache"
	web.Pid = "service:init"
	g, err := NewGraph(projectOf(web, needing("db"), needing("cache"), needing("files"), needing("side"), needing("init")))
	if err != nil {
		t.Fatal(err)
	}
	want := []Edge{
		{"cache", ConditionHealthy, true, true, EdgeIPC},
		{"db", ConditionStarted, true, true, EdgeLinks},
		{"files", ConditionStarted, true, false, EdgeVolumesFrom},
		{"init", ConditionStarted, true, true, EdgePID},
		{"side", ConditionHealthy, true, true, EdgeNetwork},
	}
	if got := g.Needs("web"); !slices.Equal(got, want) {
		t.Errorf("Needs(web) =\n%v, want\n%v", got, want)
	}
	back := g.Dependents("side")
	if len(back) != 1 || back[0].Service != "web" || !back[0].Shares() {
		t.Errorf("Dependents(side) = %v", back)
	}
}

func TestGraphNamesCycles(t *testing.T) {
	for _, c := range []struct {
		services []types.ServiceConfig
		want     string
	}{
		{[]types.ServiceConfig{needing("a", "b"), needing("b", "a")}, "dependency cycle: a → b → a"},
		{[]types.ServiceConfig{needing("a", "a")}, "dependency cycle: a → a"},
		{[]types.ServiceConfig{needing("a", "z"), needing("z", "m"), needing("m", "b"), needing("b", "z")}, "dependency cycle: b → z → m → b"},
	} {
		_, err := NewGraph(projectOf(c.services...))
		var cycle *CycleError
		if !errors.As(err, &cycle) || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestGraphRequiresItsServices(t *testing.T) {
	_, err := NewGraph(projectOf(needing("a", "b")))
	if err == nil || !strings.Contains(err.Error(), `depends_on names service "b"`) {
		t.Errorf("got %v", err)
	}
}

func TestGraphOrderIsDeterministic(t *testing.T) {
	g, err := NewGraph(projectOf(needing("web", "db", "cache"), needing("db"), needing("cache"), needing("aaa", "web"), needing("b")))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(g.Order(), " "); got != "b cache db web aaa" {
		t.Errorf("Order = %s", got)
	}
	if got := strings.Join(g.Reverse(), " "); got != "aaa web db cache b" {
		t.Errorf("Reverse = %s", got)
	}
	if got := strings.Join(g.Closure("web", "nothing"), " "); got != "cache db web" {
		t.Errorf("Closure = %s", got)
	}
	if got := strings.Join(g.Above("db"), " "); got != "db web aaa" {
		t.Errorf("Above = %s", got)
	}
}

func TestGraphProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := projectOf()
		n := rapid.IntRange(1, 12).Draw(t, "services")
		for i := range n {
			s := needing(fmt.Sprintf("s%02d", i))
			for _, d := range rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, min(4, n), rapid.ID).Draw(t, "needs") {
				if s.DependsOn == nil {
					s.DependsOn = types.DependsOnConfig{}
				}
				s.DependsOn[fmt.Sprintf("s%02d", d)] = types.ServiceDependency{Required: true}
			}
			p.Services[s.Name] = s
		}
		g, err := NewGraph(p)
		if err != nil {
			checkCycle(t, p, err)
			return
		}
		checkOrder(t, p, g)
	})
}

func checkCycle(t *rapid.T, p *types.Project, err error) {
	var c *CycleError
	if !errors.As(err, &c) || len(c.Path) < 2 || c.Path[0] != c.Path[len(c.Path)-1] {
		t.Fatalf("not a closed path: %v", err)
	}
	for i := 1; i < len(c.Path); i++ {
		if _, ok := p.Services[c.Path[i-1]].DependsOn[c.Path[i]]; !ok {
			t.Fatalf("%v: %s does not need %s", c, c.Path[i-1], c.Path[i])
		}
	}
}

func checkOrder(t *rapid.T, p *types.Project, g *Graph) {
	order := g.Order()
	if len(order) != len(p.Services) {
		t.Fatalf("order %v misses a service", order)
	}
	for i, name := range order {
		closure := g.Closure(name)
		for _, e := range g.Needs(name) {
			if !slices.Contains(order[:i], e.Service) {
				t.Fatalf("%s comes before %s in %v", name, e.Service, order)
			}
			if !slices.Contains(closure, e.Service) {
				t.Fatalf("closure of %s lacks %s", name, e.Service)
			}
			if !slices.ContainsFunc(g.Dependents(e.Service), func(d Edge) bool { return d.Service == name }) {
				t.Fatalf("%s is no dependent of %s", name, e.Service)
			}
		}
		if closure[len(closure)-1] != name {
			t.Fatalf("closure %v does not end with %s", closure, name)
		}
	}
}
