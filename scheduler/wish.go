package scheduler

import (
	"time"

	"stack/spec"
)

// Goal is what people last asked of a service.
type Goal string

const (
	GoalRun    Goal = "run"    // replicas exist and run (up, start)
	GoalCreate Goal = "create" // replicas exist (create)
	GoalStop   Goal = "stop"   // replicas that exist are stopped (stop)
	GoalRemove Goal = "remove" // no replicas (down SERVICE, rm --stop)
)

// Wish is everything people asked of one project; commands edit it, Reconcile
// reads it. It is stored as projects/PROJECT/wish.json (0600, version WishVersion)
// with Stack encoded by spec.Encode.
type Wish struct {
	Stack *spec.Stack `json:"-"`
	// Sequence counts commands; instances remember the one they obeyed.
	Sequence uint64
	Services map[string]ServiceWish
	// Contents are those of secrets and configs that Stack has no more, by digest,
	// which containers made before need to restart as they were.
	Contents map[string]string `json:",omitempty"`
	// Live is followed, without a client.
	Live *LiveSource `json:",omitempty"`
	// Looked is the newest command that asked to look for images and has them all.
	Looked uint64 `json:",omitempty"`
	// Halted stops all until the next command: the machine goes down.
	Halted bool `json:",omitempty"`
	// Down removes the whole project: replicas, then networks.
	Down          bool
	RemoveVolumes bool
	// RemoveOrphans removes replicas of services that the file no longer has.
	RemoveOrphans bool
	// IgnoreOrphans does not warn of them.
	IgnoreOrphans bool
	// RecreateVolumes are the last command's.
	RecreateVolumes []string `json:",omitempty"`
}

// ServiceWish is the wish for one service. A service without one is left as it is.
type ServiceWish struct {
	Goal  Goal
	Scale int
	// Hash is the configuration that the last up of this service asked for. Another
	// command may bring a newer file; replicas stay as they are until their own up.
	Hash string `json:",omitempty"`
	// Look is the last command that is to see a changed image of it.
	Look uint64 `json:",omitempty"`
	// Start is the sequence number of the last up or start: replicas that exited
	// before it are started again.
	Start uint64
	// Upped is Start where that was an up.
	Upped uint64 `json:",omitempty"`
	// Restart is the sequence number of the last restart: replicas started before
	// it are stopped and started.
	Restart uint64
	// Recreate is the sequence number of the last --force-recreate: replicas
	// created before it are replaced.
	Recreate uint64
	// NoRecreate keeps stale replicas (--no-recreate).
	NoRecreate bool
	// NoDeps starts without waiting for dependencies (--no-deps).
	NoDeps bool
	// Strict is the last up's or run's; see Command.
	Strict bool `json:",omitempty"`
	// Grace overrides the stop grace period of the last command's stops.
	Grace *time.Duration `json:",omitempty"`
	// RenewVolumes gives replaced replicas fresh anonymous volumes (-V).
	RenewVolumes bool
	// Rollback is set from the return to an earlier revision until the next up of this
	// service: Stack has the service as it was then, whatever file a command brings.
	Rollback *Rollback `json:",omitempty"`
}

// Rollback is a return from one revision of a service to another.
type Rollback struct {
	// Sequence is that of the return itself, which is a command even where nobody
	// asked for it.
	Sequence uint64
	From, To int
	// File is the hash of what the file said, which may be that of an earlier return: a
	// live file that says the same still is not tried again.
	File string
	// Cause is why the update to From failed; empty when a person asked.
	Cause string `json:",omitempty"`
	// Settings are those of the file that had From.
	Settings RolloutSettings
}

// has reports whether s is wished to have replicas.
func (g Goal) has() bool { return g == GoalRun || g == GoalCreate }
