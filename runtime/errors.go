package runtime

import (
	"errors"
	"fmt"
	"syscall"
)

var (
	ErrNotFound   = errors.New("no such container")
	ErrExists     = errors.New("container exists")
	ErrNotRunning = errors.New("container is not running")
	ErrRunning    = errors.New("container is running")
	ErrPaused     = errors.New("container is paused")
)

// StepError is the failure of one step on the way to the user's program.
type StepError struct {
	// Step says what was attempted, as a verb phrase: "mount /proc",
	// "execute \"nginx\"".
	Step string
	Err  error
}

func (e *StepError) Error() string { return fmt.Sprintf("cannot %s: %v", e.Step, e.Err) }
func (e *StepError) Unwrap() error { return e.Err }

// ExitCode is the code a shell would give: 127 for a program that is not there,
// 126 for one that cannot be executed, 1 for any other step.
func (e *StepError) ExitCode() int {
	var no syscall.Errno
	if !errors.As(e.Err, &no) || len(e.Step) < 7 || e.Step[:7] != "execute" {
		return 1
	}
	switch no {
	case syscall.ENOENT, syscall.ENOTDIR:
		return 127
	}
	return 126
}
