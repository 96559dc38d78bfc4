package seccomp

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// profile is an OCI profile with its actions as the kernel's return values and
// redundant rules dropped.
type profile struct {
	fallback uint32 // the default action
	unknown  uint32 // for numbers newer than the tables
	entries  []entry
}

type entry struct {
	names      []string
	conditions [][]specs.LinuxSeccompArg // any of these; empty: always
	action     uint32
}

// rule is one way a call can be decided: all conditions hold.
type rule struct {
	conditions []specs.LinuxSeccompArg
	action     uint32
}

// outcome is what a call number leads to: the first rule that holds, or the
// action.
type outcome struct {
	rules  []rule
	action uint32
}

func newProfile(s *specs.LinuxSeccomp) (profile, error) {
	fallback, err := returnValue(s.DefaultAction, s.DefaultErrnoRet)
	if err != nil {
		return profile{}, fmt.Errorf("default action: %w", err)
	}
	p := profile{fallback: fallback, unknown: fallback}
	if !letsThrough(fallback) {
		p.unknown = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	}
	for _, call := range s.Syscalls {
		e, err := newEntry(call)
		if err != nil {
			return profile{}, fmt.Errorf("rule for %v: %w", call.Names, err)
		}
		if e.action != fallback {
			p.entries = append(p.entries, e)
		}
	}
	return p, nil
}

// letsThrough: a tracer answers for new calls by itself.
func letsThrough(action uint32) bool {
	switch action & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE:
		return true
	}
	return false
}

func newEntry(call specs.LinuxSyscall) (entry, error) {
	action, err := returnValue(call.Action, call.ErrnoRet)
	if err != nil {
		return entry{}, err
	}
	for _, arg := range call.Args {
		if err := checkCondition(arg); err != nil {
			return entry{}, err
		}
	}
	e := entry{names: call.Names, action: action}
	switch {
	case len(call.Args) == 0:
	case namesOneTwice(call.Args):
		for _, arg := range call.Args {
			e.conditions = append(e.conditions, []specs.LinuxSeccompArg{arg})
		}
	default:
		e.conditions = [][]specs.LinuxSeccompArg{call.Args}
	}
	return e, nil
}

func namesOneTwice(args []specs.LinuxSeccompArg) bool {
	var seen [6]bool
	return slices.ContainsFunc(args, func(a specs.LinuxSeccompArg) bool {
		twice := seen[a.Index]
		seen[a.Index] = true
		return twice
	})
}

func checkCondition(arg specs.LinuxSeccompArg) error {
	if arg.Index > 5 {
		return fmt.Errorf("system calls have no argument %d", arg.Index)
	}
	switch arg.Op {
	case specs.OpEqualTo, specs.OpNotEqual, specs.OpGreaterEqual, specs.OpGreaterThan,
		specs.OpLessEqual, specs.OpLessThan, specs.OpMaskedEqual:
		return nil
	}
	return fmt.Errorf("unknown operator %q", arg.Op)
}

// returnValue is an action as a filter returns it, see seccomp(2).
func returnValue(action specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	if errno != nil && action != specs.ActErrno && action != specs.ActTrace {
		return 0, fmt.Errorf("action %s takes no errnoRet", action)
	}
	data := uint32(unix.EPERM)
	if errno != nil {
		data = uint32(*errno)
	}
	switch action {
	case specs.ActKill, specs.ActKillThread:
		return unix.SECCOMP_RET_KILL_THREAD, nil
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP, nil
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, nil
	case specs.ActErrno, specs.ActTrace:
		return dataValue(action, data, errno)
	case specs.ActNotify:
		return 0, fmt.Errorf("action %s is not supported: nobody would answer", action)
	}
	return 0, fmt.Errorf("unknown action %q", action)
}

// dataValue is an action that carries a number. The kernel cuts errno off at
// 4095.
func dataValue(action specs.LinuxSeccompAction, data uint32, errno *uint) (uint32, error) {
	base, limit := uint32(unix.SECCOMP_RET_ERRNO), uint(4095)
	if action == specs.ActTrace {
		base, limit = unix.SECCOMP_RET_TRACE, unix.SECCOMP_RET_DATA
	}
	if errno != nil && *errno > limit {
		return 0, fmt.Errorf("errnoRet %d of action %s is above %d", *errno, action, limit)
	}
	return base | data, nil
}

// outcomes are the decisions for each number of an ABI that has a rule.
func (p profile) outcomes(a *abi) map[uint32]outcome {
	out := map[uint32]outcome{}
	add := func(nr uint32, conditions []specs.LinuxSeccompArg, action uint32) {
		old, ok := out[nr]
		switch {
		case ok && old.rules == nil: // decided without conditions
		case len(conditions) == 0:
			out[nr] = outcome{action: action}
		default:
			out[nr] = outcome{rules: append(old.rules, rule{conditions, action}), action: p.fallback}
		}
	}
	for _, e := range p.entries {
		for _, name := range e.names {
			p.addCall(a, name, e, add)
		}
	}
	return out
}

func (p profile) addCall(a *abi, name string, e entry, add func(uint32, []specs.LinuxSeccompArg, uint32)) {
	for _, nr := range a.numbers[name] {
		if len(e.conditions) == 0 {
			add(nr, nil, e.action)
		}
		for _, conditions := range e.conditions {
			add(nr, conditions, e.action)
		}
	}
	if m, ok := a.multiplexed(name); ok && len(e.conditions) == 0 {
		add(m.nr, []specs.LinuxSeccompArg{m.which}, e.action)
	}
}
