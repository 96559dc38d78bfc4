package scheduler

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// serviceEdges lists what one service needs, one edge a target, by name. It
// does not rely on compose-go's normalisation, which writes the implied
// dependencies into depends_on too.
func serviceEdges(s types.ServiceConfig) []Edge {
	found := map[string]Edge{}
	add := func(e Edge) {
		if old, ok := found[e.Service]; ok {
			e = mergeEdges(old, e)
		}
		found[e.Service] = e
	}
	for name, d := range s.DependsOn {
		add(Edge{Service: name, Condition: Condition(cmp.Or(d.Condition, types.ServiceConditionStarted)),
			Required: d.Required, Restart: d.Restart, Kind: EdgeDependsOn})
	}
	for _, l := range s.Links {
		target, _, _ := strings.Cut(l, ":")
		add(impliedEdge(target, EdgeLinks, true))
	}
	for _, v := range s.VolumesFrom {
		if !strings.HasPrefix(v, types.ContainerPrefix) {
			target, _, _ := strings.Cut(v, ":")
			add(impliedEdge(target, EdgeVolumesFrom, false))
		}
	}
	for kind, mode := range map[EdgeKind]string{EdgeNetwork: s.NetworkMode, EdgeIPC: s.Ipc, EdgePID: s.Pid} {
		if target, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
			add(impliedEdge(target, kind, true))
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Edge) int { return cmp.Compare(a.Service, b.Service) })
}

func impliedEdge(target string, kind EdgeKind, restart bool) Edge {
	return Edge{Service: target, Condition: ConditionStarted, Required: true, Restart: restart, Kind: kind}
}

// mergeEdges keeps the stricter of two ties to one service. A shared namespace
// requires its owner whatever depends_on says.
func mergeEdges(a, b Edge) Edge {
	if edgeRank(b.Kind) < edgeRank(a.Kind) {
		a, b = b, a
	}
	if a.Condition == ConditionStarted {
		a.Condition = b.Condition
	}
	a.Required = a.Required || b.Required
	a.Restart = a.Restart || b.Restart
	return a
}

func edgeRank(k EdgeKind) int {
	return slices.Index([]EdgeKind{EdgeNetwork, EdgeIPC, EdgePID, EdgeDependsOn, EdgeLinks, EdgeVolumesFrom}, k)
}
