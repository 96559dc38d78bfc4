package native

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
	"stack/runtime/statedir"
)

// validate refuses what this runtime would otherwise have to ignore.
func validate(b runtime.Bundle) error {
	if err := statedir.CheckID(b.ID); err != nil {
		return err
	}
	s := b.Spec
	if s == nil || s.Process == nil || s.Linux == nil {
		return errors.New("invalid specification: process and linux are required")
	}
	if len(b.Root.Lowers) == 0 && b.Root.Upper == "" && (s.Root == nil || s.Root.Path == "") {
		return errors.New("invalid specification: no root file system")
	}
	if err := validateProcess(s.Process); err != nil {
		return err
	}
	return errors.Join(validateHooks(s.Hooks), unsupported(s))
}

func validateProcess(p *specs.Process) error {
	if len(p.Args) == 0 || p.Args[0] == "" {
		return errors.New("invalid process: no program to execute")
	}
	if !filepath.IsAbs(p.Cwd) {
		return fmt.Errorf("invalid process: working directory %q is not absolute", p.Cwd)
	}
	for _, one := range append(append([]string{p.Cwd}, p.Args...), p.Env...) {
		for i := range len(one) {
			if one[i] == 0 {
				return fmt.Errorf("invalid process: zero byte in %q", one)
			}
		}
	}
	return refuse([]feature{
		{"process.apparmorProfile", p.ApparmorProfile != "" && p.ApparmorProfile != "unconfined"},
		{"process.selinuxLabel", p.SelinuxLabel != ""},
	})
}

func unsupported(s *specs.Spec) error {
	l := s.Linux
	return refuse([]feature{
		{"linux.intelRdt", l.IntelRdt != nil},
		{"linux.netDevices", len(l.NetDevices) > 0},
		{"linux.mountLabel", l.MountLabel != ""},
	})
}

// feature is a part of the specification and whether it was asked for.
type feature struct {
	name  string
	asked bool
}

// refuse names every feature that is asked for.
func refuse(features []feature) error {
	var all []error
	for _, f := range features {
		if f.asked {
			all = append(all, fmt.Errorf("%s is not supported by the native runtime", f.name))
		}
	}
	return errors.Join(all...)
}
