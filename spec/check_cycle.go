package spec

import (
	"fmt"
	"slices"
	"strings"
)

// checkCycles: services do not depend on themselves through others. One cycle is
// named for each group of services that hang together.
func checkCycles(m *model, r *report) {
	c := cycleFinder{model: m, state: map[*service]int{}, report: r}
	for _, s := range m.all() {
		c.visit(s, nil)
	}
}

const (
	unseen = iota
	onPath
	done
)

// cycleFinder is a depth-first search; each service is expanded once.
type cycleFinder struct {
	model  *model
	state  map[*service]int
	report *report
}

func (c *cycleFinder) visit(s *service, path []*service) {
	if c.state[s] != unseen {
		return
	}
	c.state[s] = onPath
	path = append(path, s)
	for _, e := range s.edges {
		to := c.model.byName[e.to]
		if to == nil || to == s && e.via != "depends_on" {
			continue
		}
		if c.state[to] == onPath {
			c.found(e, path[slices.Index(path, to):])
			continue
		}
		c.visit(to, path)
	}
	c.state[s] = done
}

func (c *cycleFinder) found(e edge, cycle []*service) {
	names := make([]string, 0, len(cycle)+1)
	for _, s := range append(slices.Clone(cycle), cycle[0]) {
		names = append(names, s.name)
	}
	c.report.add(e.at, "cycle", fmt.Sprintf("services depend on each other: %s", strings.Join(names, " → ")), "")
}
