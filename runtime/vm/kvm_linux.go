package vm

import "context"

// acceleration tells whether the processor may run guests itself.
func (r *Runtime) acceleration(_ context.Context, _ machine) (kvm bool, warning string) {
	return false, ""
}
