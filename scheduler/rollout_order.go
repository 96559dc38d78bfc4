package scheduler

import (
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// alone tells why two containers of one replica of svc cannot be at a time, or "".
func (p *planner) alone(svc types.ServiceConfig) string {
	switch {
	case svc.ContainerName != "":
		return "it has a container_name"
	case !ownNamespace(svc.NetworkMode):
		return "it has no network namespace of its own"
	case fixedAddress(svc):
		return "it has a fixed address"
	case len(svc.PreStart) > 0:
		return "it has pre_start hooks"
	case slices.ContainsFunc(p.want.Graph.Dependents(svc.Name), Edge.Shares):
		return "a service lives in its namespaces"
	case slices.ContainsFunc(p.want.Graph.Dependents(svc.Name), func(e Edge) bool { return e.Restart }):
		return "a service restarts with it"
	}
	return ""
}

func fixedAddress(svc types.ServiceConfig) bool {
	if svc.MacAddress != "" {
		return true
	}
	for _, n := range svc.Networks {
		if n != nil && (n.Ipv4Address != "" || n.Ipv6Address != "" || n.MacAddress != "" || len(n.LinkLocalIPs) > 0) {
			return true
		}
	}
	return false
}

// unproven tells why two containers of one replica had better not be at a time
// unless the file asks for it, or "".
func unproven(svc types.ServiceConfig, keep []*Instance) string {
	if !checked(svc) {
		return "it has no health check"
	}
	if len(svc.VolumesFrom) > 0 || slices.ContainsFunc(keep, func(i *Instance) bool { return len(i.Anonymous) > 0 }) {
		return "it has a volume"
	}
	for _, v := range svc.Volumes {
		if (v.Type == types.VolumeTypeVolume || v.Type == types.VolumeTypeBind) && !v.ReadOnly {
			return "it has a writable volume"
		}
	}
	return ""
}

// checked reports whether the file gives a service a health check.
func checked(svc types.ServiceConfig) bool {
	if h := svc.HealthCheck; h != nil && !h.Disable && len(h.Test) > 0 && h.Test[0] != "NONE" {
		return true
	}
	x, err := spec.ServiceExtension(svc)
	return err == nil && x.Probe != nil
}
