package wire

import (
	"errors"
	"io/fs"
	"syscall"

	"stack/runtime"
)

// missing is an error that is fs.ErrNotExist.
type missing struct{ text string }

func (m *missing) Error() string        { return m.text }
func (m *missing) Is(target error) bool { return target == fs.ErrNotExist }

// FailureOf makes an error fit to be sent.
func FailureOf(err error) *Failure {
	f := &Failure{Text: err.Error(), Missing: errors.Is(err, fs.ErrNotExist)}
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
	if f.Missing {
		return &missing{f.Text}
	}
	return errors.New(f.Text)
}
