package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is what an operation does.
type Kind string

const (
	OpNetwork       Kind = "create network"
	OpNetworkAlter  Kind = "replace network"
	OpNetworkRemove Kind = "remove network"
	OpVolume        Kind = "create volume"
	OpVolumeRemove  Kind = "remove volume"
	OpImage         Kind = "resolve image"
	OpCreate        Kind = "create"
	OpHook          Kind = "prepare"   // makes the container of a pre_start hook
	OpReplace       Kind = "replace"   // a stale replica by a fresh one of its number
	OpSurge         Kind = "add"       // a fresh replica that is to take a stale one's place
	OpPromote       Kind = "promote"   // one that took it gets the name
	OpUpdate        Kind = "update"    // settings of a container, which goes on
	OpRollback      Kind = "roll back" // a service to revision Number
	OpStart         Kind = "start"
	OpStop          Kind = "stop"
	OpRemove        Kind = "remove"
	OpPause         Kind = "pause"
	OpUnpause       Kind = "unpause"
	OpSkip          Kind = "skip"     // a scheduled run, since the last one goes on
	OpCleanUp       Kind = "clean up" // of a container that ended; never planned
)

// Op is one operation with the reason for it. An operation whose After is empty
// can begin now; the others are what follows if nothing changes.
type Op struct {
	ID      string
	Kind    Kind
	Target  string // a name people know: container, network, volume, image
	Service string // empty for networks and volumes
	// Instance is the container's ID; empty for OpCreate, the stale one's for OpSurge, a
	// failed one's for OpRollback.
	Instance string
	Number   int
	Hook     *HookRef // of OpHook
	Cause    string
	After    []string
	// Unhealthy says that it stops a replica which its restart policy starts again.
	Unhealthy bool
	// Again says that it stops a replica to start it again, whatever its policy.
	Again bool
	// Destructive operations lose data: removing a volume.
	Destructive bool
}

// Status says where a service stands with regard to its wish.
type Status struct {
	// Done is set when nothing is left to do.
	Done bool
	// Waiting names what its start waits for.
	Waiting string
	// Failed says why it cannot go on before a person acts.
	Failed string
	// Update tells how far an update is that is not over yet, or ends just now.
	Update UpdateState `json:",omitempty"`
}

// Plan is the difference between wish and world.
type Plan struct {
	Ops      []Op
	Services map[string]Status
	Warnings []string
	// Consent are what an edit of the live file waits for, or in a preview what `up`
	// itself consents to; see Widens.
	Consent []Reason `json:",omitempty"`
	// RequeueAfter is when time alone would change the plan; 0 for never.
	RequeueAfter time.Duration
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Ops) == 0 }

// String is the plan as `stack plan` prints it and tests compare it.
func (p Plan) String() string {
	var b strings.Builder
	for _, op := range p.Ops {
		fmt.Fprintf(&b, "%s %s", op.Kind, op.Target)
		if op.Cause != "" {
			fmt.Fprintf(&b, ": %s", op.Cause)
		}
		if len(op.After) > 0 {
			fmt.Fprintf(&b, " (after %s)", strings.Join(op.After, ", "))
		}
		b.WriteByte('\n')
	}
	names := make([]string, 0, len(p.Services))
	for n := range p.Services {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		switch s := p.Services[n]; {
		case s.Failed != "":
			fmt.Fprintf(&b, "! %s: %s\n", n, s.Failed)
		case s.Waiting != "":
			fmt.Fprintf(&b, "… %s waits: %s\n", n, s.Waiting)
		}
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

func (p *Plan) requeue(d time.Duration) {
	if d <= 0 {
		d = time.Millisecond
	}
	if p.RequeueAfter == 0 || d < p.RequeueAfter {
		p.RequeueAfter = d
	}
}
