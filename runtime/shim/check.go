package shim

import (
	"errors"
	"path/filepath"
	"strings"
)

// maxName bounds IDs and held names, so that packets have a bound.
const maxName = 200

// check refuses a request whose fields don't fit its verb.
func (r Request) check(fds int) error {
	switch r.Op {
	case OpAdopt:
		if r.Pid <= 0 || fds > 1 || !absOrEmpty(r.Exit) {
			return errors.New("needs a pid, an absolute path and at most one descriptor")
		}
		return checkName(r.ID)
	case OpStdio:
		if !absOrEmpty(r.Log) {
			return errors.New("needs an absolute path")
		}
		return checkName(r.ID)
	case OpAttach, OpForget:
		return checkName(r.ID)
	case OpHold:
		if fds != 1 {
			return errors.New("needs one descriptor")
		}
		if _, _, ok := splitName(r.Name); ok {
			return errors.New("name is reserved")
		}
		return checkName(r.Name)
	case OpRelease:
		return checkName(r.Name)
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return errors.New("name is missing or too long")
	}
	return nil
}

func absOrEmpty(path string) bool { return path == "" || filepath.IsAbs(path) }

// splitName takes apart the name of a container's descriptor, KIND/ID.
func splitName(name string) (kind, id string, ok bool) {
	kind, id, ok = strings.Cut(name, "/")
	switch kind {
	case "pidfd", "stdin", "stdout", "stderr", "tty":
		return kind, id, ok
	}
	return "", "", false
}
