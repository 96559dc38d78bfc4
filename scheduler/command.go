package scheduler

import (
	"time"
)

// Verb is a command's name.
type Verb string

const (
	VerbUp      Verb = "up"
	VerbCreate  Verb = "create"
	VerbStart   Verb = "start"
	VerbStop    Verb = "stop"
	VerbRestart Verb = "restart"
	VerbKill    Verb = "kill"
	VerbRemove  Verb = "rm"
	VerbDown    Verb = "down"
	VerbScale   Verb = "scale"
	VerbPause   Verb = "pause"
	VerbUnpause Verb = "unpause"
	VerbRun     Verb = "run"
	VerbRelease Verb = "release" // lets a created one-off start, once its client is attached
	VerbWait    Verb = "wait"
	VerbLive    Verb = "live" // follows the stack file until its client goes
	VerbBoot    Verb = "boot" // what ran before the machine went down
	VerbHalt    Verb = "halt"
	VerbApprove Verb = "approve" // of a live edit that waits
	// VerbRollback takes services back to an earlier revision; see Returns.
	VerbRollback Verb = "rollback"
	VerbWatch    Verb = "watch" // carries out develop.watch until its client goes
	// VerbRebuilt has replicas replaced whose image was built anew; it is the
	// controller's own.
	VerbRebuilt Verb = "rebuilt"
)

// Command is one request of a person to the controller. It edits the wish; the
// answer is a stream of Replies that ends when the world agrees, or cannot.
type Command struct {
	Verb Verb
	// Spec is the loaded stack (spec.Encode); absent for verbs that work from the
	// recorded one.
	Spec []byte `json:",omitempty"`
	// Services selects services; empty means all. Containers selects by container
	// name or ID instead.
	Services   []string `json:",omitempty"`
	Containers []string `json:",omitempty"`
	// Profiles are active for a down, beside those that were when the stack came.
	Profiles []string `json:",omitempty"`
	// Scale overrides replica counts.
	Scale map[string]int `json:",omitempty"`

	NoDeps        bool `json:",omitempty"`
	NoStart       bool `json:",omitempty"` // up --no-start
	ForceRecreate bool `json:",omitempty"`
	NoRecreate    bool `json:",omitempty"`
	AlwaysDeps    bool `json:",omitempty"` // --always-recreate-deps
	RenewVolumes  bool `json:",omitempty"`
	// RecreateVolumes are the names of volumes that may lose their content if their
	// declaration is not what they were made from.
	RecreateVolumes []string `json:",omitempty"`
	RemoveOrphans   bool     `json:",omitempty"`
	// Strict refuses to start what could only run in the host's user namespace
	// though its file does not ask for that.
	Strict        bool `json:",omitempty"`
	IgnoreOrphans bool `json:",omitempty"` // do not even warn of them
	Volumes       bool `json:",omitempty"` // down -v, rm -v
	Force         bool `json:",omitempty"` // rm of running ones
	// Wait makes up wait for health.
	Wait        bool          `json:",omitempty"`
	WaitTimeout time.Duration `json:",omitempty"`
	// Timeout overrides stop grace periods.
	Timeout *time.Duration `json:",omitempty"`
	Signal  string         `json:",omitempty"`
	Run     *RunOptions    `json:",omitempty"`
	// Revision is the number of the one to go back to; 0 is the one before.
	Revision int `json:",omitempty"`
	// Since is when a watch began that another controller's end interrupted.
	Since time.Time `json:",omitzero"`
	// Live is the source of a live, or one that an up wants to be followed from now
	// on, without a client.
	Live *LiveSource `json:",omitempty"`
	// Approve is the ID of the edit.
	Approve string `json:",omitempty"`
}

// Reply is one line of a command's answer.
type Reply struct {
	Event *Event `json:",omitempty"`
	// Created names the one-off that run made; its client attaches, then releases.
	Created *Instance `json:",omitempty"`
	Warning string    `json:",omitempty"`
	// Reload is a line of a watch.
	Reload *Reload `json:",omitempty"`
	// Live is one of a live stack file.
	Live *LiveReport `json:",omitempty"`
	// Done ends the stream; Error tells why the command failed.
	Done  bool   `json:",omitempty"`
	Error string `json:",omitempty"`
	// Code is 126 or 127 when Error is a StartError.
	Code int `json:",omitempty"`
	// Codes are exit codes of waited containers, by name.
	Codes map[string]int `json:",omitempty"`
}
