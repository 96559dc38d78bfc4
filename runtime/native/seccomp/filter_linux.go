package seccomp

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Filter is a compiled profile for seccomp(SECCOMP_SET_MODE_FILTER).
type Filter struct {
	Prog  []unix.SockFilter
	Flags uint // SECCOMP_FILTER_FLAG_…
}

// maxInstructions is BPF_MAXINSNS.
const maxInstructions = 4096

// Compile compiles a profile for this machine. nil, or a profile that allows
// everything, compiles like any other; the caller decides whether to load it.
func Compile(s *specs.LinuxSeccomp) (*Filter, error) { return compileFor(runtime.GOARCH, s) }

func compileFor(goarch string, s *specs.LinuxSeccomp) (*Filter, error) {
	if s == nil {
		return nil, errors.New("cannot compile seccomp profile: there is none")
	}
	f, err := compile(goarch, s)
	if err != nil {
		return nil, fmt.Errorf("cannot compile seccomp profile: %w", err)
	}
	return f, nil
}

func compile(goarch string, s *specs.LinuxSeccomp) (*Filter, error) {
	if s.ListenerPath != "" {
		return nil, errors.New("a listener is not supported")
	}
	flags, err := filterFlags(s.Flags)
	if err != nil {
		return nil, err
	}
	p, err := newProfile(s)
	if err != nil {
		return nil, err
	}
	machines, err := machinesOf(goarch, s.Architectures)
	if err != nil {
		return nil, err
	}
	prog := dispatch(machines, p)
	if len(prog) > maxInstructions {
		return nil, fmt.Errorf("it needs %d instructions, the kernel takes %d", len(prog), maxInstructions)
	}
	return &Filter{Prog: prog, Flags: flags}, nil
}

// filterFlags: a profile without flags gets runc's default, which leaves
// speculative store bypass alone.
func filterFlags(names []specs.LinuxSeccompFlag) (uint, error) {
	if names == nil {
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, nil
	}
	var flags uint
	for _, name := range names {
		switch name {
		case "SECCOMP_FILTER_FLAG_TSYNC":
			flags |= unix.SECCOMP_FILTER_FLAG_TSYNC
		case specs.LinuxSeccompFlagLog:
			flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case specs.LinuxSeccompFlagWaitKillableRecv:
			return 0, fmt.Errorf("flag %s belongs to notifications, which are not supported", name)
		default:
			return 0, fmt.Errorf("unknown flag %q", name)
		}
	}
	return flags, nil
}
