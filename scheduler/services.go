package scheduler

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
)

// hasAddress reports whether a service has an address of its own on the network of
// that key. Without one its names are those of its replicas: asked for, or because
// a replica's fixed address is what the file wants found.
func hasAddress(s types.ServiceConfig, key string) bool {
	if s.Deploy != nil && s.Deploy.EndpointMode == "dnsrr" {
		return false
	}
	n := attachment(s, key)
	return n.Ipv4Address == "" && n.Ipv6Address == "" && len(serviceNames(s, key)) > 0
}

// serviceNames are what all replicas of a service are found by on a network.
func serviceNames(s types.ServiceConfig, key string) []string {
	n := attachment(s, key)
	var names []string
	if n.ServiceNameAliasEnabled() {
		names = append(names, s.Name)
	}
	return append(names, n.Aliases...)
}

// balancedServices are the services that have or are to have replicas, with those
// that take new connections. Its order is always the same.
func balancedServices(want Want, made map[string]madeNetwork, all []*Instance, opening map[string]bool) []netns.Service {
	replicas := map[string][]*Instance{}
	for _, i := range all {
		if !i.OneOff {
			replicas[i.Service] = append(replicas[i.Service], i)
		}
	}
	var out []netns.Service
	for _, name := range slices.Sorted(maps.Keys(want.Stack.Services)) {
		svc := want.Stack.Services[name]
		if len(replicas[name]) == 0 && !want.Services[name].Goal.has() {
			continue
		}
		for _, key := range attachments(svc) {
			n, ok := made[key]
			if !ok || !hasAddress(svc, key) {
				continue
			}
			out = append(out, netns.Service{
				Name: name, Network: n.ID, Names: serviceNames(svc, key),
				Backends: backendsOn(n.ID, replicas[name], opening),
			})
		}
	}
	return out
}

// backendsOn are the fittest of those replicas that are on a network, sorted.
func backendsOn(network string, replicas []*Instance, opening map[string]bool) (ids []string) {
	on := slices.DeleteFunc(slices.Clone(replicas), func(i *Instance) bool {
		return !slices.ContainsFunc(i.Endpoints, func(e netns.Endpoint) bool { return e.Network == network })
	})
	return slices.Sorted(maps.Keys(fittest(on, opening)))
}
