package scheduler

import (
	"net/netip"
	"slices"
	"strings"

	"stack/netns"
)

// namesOn are the names on one network: those of containers, and those of
// services with an address.
type namesOn struct {
	leases   []netns.Lease
	services []netns.ServiceLease
}

// tasksPrefix before a service's name asks for its replicas.
const tasksPrefix = "tasks."

// lookup answers a name: a service's with its address, tasks.SERVICE with those of
// its replicas, any other with those of the containers that have it.
//
// The only replica of a service finds itself by the service's name, not the
// service's address: many a program listens on the name it is known by.
func (n namesOn) lookup(asker, name string) (addrs []netip.Addr) {
	has := func(names []string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	}
	served := map[[2]string]bool{} // project and service whose address stands for the name
	for _, s := range n.services {
		if !has(s.Names) || n.alone(asker, s) {
			continue
		}
		served[[2]string{s.Project, s.Name}] = true
		addrs = append(addrs, s.IPv4, s.IPv6)
	}
	service, tasks := cutPrefixFold(name, tasksPrefix)
	for _, l := range n.leases {
		isTask := tasks && l.Service != "" && strings.EqualFold(l.Service, service)
		if isTask || has(l.Names) && !served[[2]string{l.Project, l.Service}] {
			addrs = append(addrs, l.IPv4, l.IPv6)
		}
	}
	return addrs
}

// alone reports whether the asking container is the service's only replica.
func (n namesOn) alone(asker string, s netns.ServiceLease) bool {
	replicas, own := 0, false
	for _, l := range n.leases {
		if l.Project == s.Project && l.Service == s.Name {
			replicas++
			own = own || l.Container == asker
		}
	}
	return own && replicas == 1
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
