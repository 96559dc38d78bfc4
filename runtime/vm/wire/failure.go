package wire

import (
	"errors"
	"syscall"

	"stack/runtime"
)

// FailureOf makes an error fit to be sent.
func FailureOf(err error) *Failure {
	f := &Failure{Text: err.Error()}
	var step *runtime.StepError
	var no syscall.Errno
	if errors.As(err, &step) && errors.As(step.Err, &no) {
		f.Step, f.Errno = step.Step, int(no)
	}
	return f
}

// Err is the error again: a *runtime.StepError if it was one.
func (f *Failure) Err() error {
	if f.Step != "" {
		return &runtime.StepError{Step: f.Step, Err: syscall.Errno(f.Errno)}
	}
	return errors.New(f.Text)
}
