package cgroup

import (
	"errors"
	"strings"
)

var (
	ErrNotFound = errors.New("no such cgroup")
	// ErrExists means that the path is taken by a group that is in use.
	ErrExists = errors.New("cgroup exists and is in use")
	// ErrBusy means that processes are still in a group that should be empty.
	ErrBusy = errors.New("processes remain in the cgroup")
	// ErrFrozen means that nothing can enter the group before it is thawed: what
	// did would stop at once, its creator waiting for it.
	ErrFrozen = errors.New("the cgroup is frozen")
	// ErrInUse means that a limit is below what is used already; the old limit
	// stays.
	ErrInUse = errors.New("more than the new limit is in use")
	// ErrNotDelegated means that this process may not make groups here.
	ErrNotDelegated = errors.New("cgroups are not writable here: run as root, or in a container or service that delegates them")
	// ErrNoCgroups means that no cgroup file system with controllers is mounted.
	ErrNoCgroups = errors.New("no cgroup controllers are mounted")
)

// UnsupportedError names limits that this machine cannot apply. Create reports
// them as warnings, Update as this error, after it applied the others.
type UnsupportedError struct {
	Limits []string // one sentence each
}

func (e *UnsupportedError) Error() string { return strings.Join(e.Limits, "; ") }
