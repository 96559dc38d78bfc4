package scheduler

import (
	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
	"stack/runtime"
	"stack/spec"
)

// Annotations by which the runtime knows a virtual machine.
const (
	annotationIsolation = "stack.isolation"
	annotationKernel    = "stack.vm.kernel"
)

// isMachine reports whether a service's replicas are virtual machines.
func isMachine(s types.ServiceConfig) bool {
	x, err := spec.ServiceExtension(s)
	return err == nil && x.Isolation == spec.IsolationVM
}

// isolation makes the container a virtual machine where the service is one: the
// runtime's doing, but for its interfaces.
func (t *translator) isolation() error {
	x, err := spec.ServiceExtension(t.s)
	if err != nil || x.Isolation != spec.IsolationVM {
		return err
	}
	t.spec.Annotations[annotationIsolation] = string(x.Isolation)
	if x.Kernel != "" {
		t.spec.Annotations[annotationKernel] = spec.Absolute(t.in.Project.WorkingDir, x.Kernel)
	}
	for i := range t.out.Endpoints {
		t.out.Endpoints[i].Tap = true
	}
	return nil
}

// interfaces are a virtual machine's, as the network has them.
func interfaces(leases []netns.Lease) []runtime.Interface {
	var out []runtime.Interface
	for _, l := range leases {
		if l.Tap == nil {
			continue
		}
		i := runtime.Interface{Name: l.IfName, Tap: l.Tap.Name, MAC: l.MAC, MTU: l.Tap.MTU, Addresses: l.Tap.Addresses}
		for _, r := range l.Tap.Routes {
			i.Routes = append(i.Routes, runtime.Route{Destination: r.Destination, Via: r.Via})
		}
		out = append(out, i)
	}
	return out
}
