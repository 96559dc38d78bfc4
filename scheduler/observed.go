package scheduler

import (
	"cmp"
	"slices"
	"time"
)

// Observed is the world as the controller last saw it. Reconcile only reads it.
type Observed struct {
	Instances []*Instance
	// Networks maps the key of each existing network to its NetworkHash.
	Networks map[string]string
	// Vacant maps the keys of those of them that no instance is on to their names.
	Vacant map[string]string
	// Volumes maps the name of each existing volume to its VolumeHash.
	Volumes map[string]string
	// VolumesMade maps it to when it was made.
	VolumesMade map[string]time.Time
	// Digests maps a service to the digest that its image has now; a service whose
	// image was not resolved since the last command is absent. It is empty where
	// nobody asked to look for another image: what is there stays.
	Digests map[string]string
	// Sources are the digests of the images that a service mounts, by service and
	// reference.
	Sources map[string]map[string]string
	// Updates are the services whose present configuration has not proved itself yet.
	Updates map[string]Update
	// InFlight are the IDs of operations under way, and the services they serve.
	InFlight map[string]string
	// Failed are operations that ended with an error that only a new command may
	// retry: operation ID to message.
	Failed map[string]string
}

// Update is the way of a service to its present configuration.
type Update struct {
	// Sequence is the command by which that came.
	Sequence uint64
	// Good is the number of the revision to go back to, 0 for none.
	Good int
}

// replicas returns the numbered instances of a service, lowest number first, and
// of two with one number the elder first.
func (o Observed) replicas(service string) []*Instance {
	var out []*Instance
	for _, i := range o.Instances {
		if i.Service == service && !i.OneOff {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b *Instance) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// busy reports whether an operation for service is under way.
func (o Observed) busy(service string) bool {
	for _, s := range o.InFlight {
		if s == service {
			return true
		}
	}
	return false
}
