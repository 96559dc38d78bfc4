package native

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// tuning is how the kernel is to treat a process, as arguments of system calls.
type tuning struct {
	domain        *int   // personality(2)
	scheduler     []byte // struct sched_attr
	ioPriority    int    // ioprio_set(2); 0 leaves it alone
	policy        *memoryPolicy
	first, second []byte // masks of processors: on the way to the program, and for it
}

// memoryPolicy is for set_mempolicy(2).
type memoryPolicy struct {
	mode  int
	nodes []byte
}

// newTuning reads the parts of a specification that only tune. l is nil for an
// exec'd process.
func newTuning(p *specs.Process, l *specs.Linux) (t tuning, err error) {
	var failed []error
	collect := func(err error) { failed = append(failed, err) }
	if p.Scheduler != nil {
		t.scheduler, err = schedulerOf(p.Scheduler)
		collect(err)
	}
	if p.IOPriority != nil {
		t.ioPriority, err = ioPriorityOf(p.IOPriority)
		collect(err)
	}
	if l != nil && l.Personality != nil {
		t.domain, err = personalityOf(l.Personality)
		collect(err)
	}
	if l != nil && l.MemoryPolicy != nil {
		t.policy, err = memoryPolicyOf(l.MemoryPolicy)
		collect(err)
	}
	if a := p.ExecCPUAffinity; a != nil {
		t.first, err = maskOf(a.Initial)
		collect(err)
		t.second, err = maskOf(a.Final)
		collect(err)
	}
	if l != nil { // the first process is not concerned
		t.first, t.second = nil, nil
	}
	return t, errors.Join(failed...)
}

func personalityOf(p *specs.LinuxPersonality) (*int, error) {
	if len(p.Flags) > 0 {
		return nil, fmt.Errorf("unknown personality flags %q", p.Flags)
	}
	domains := map[specs.LinuxPersonalityDomain]int{specs.PerLinux: 0, specs.PerLinux32: 8}
	n, ok := domains[p.Domain]
	if !ok {
		return nil, fmt.Errorf("unknown personality domain %q", p.Domain)
	}
	return &n, nil
}

func schedulerOf(s *specs.Scheduler) ([]byte, error) {
	policies := []specs.LinuxSchedulerPolicy{
		specs.SchedOther, specs.SchedFIFO, specs.SchedRR, specs.SchedBatch, specs.SchedISO, specs.SchedIdle, specs.SchedDeadline,
	}
	policy := slices.Index(policies, s.Policy)
	if policy < 0 {
		return nil, fmt.Errorf("unknown scheduler policy %q", s.Policy)
	}
	flags := []specs.LinuxSchedulerFlag{
		specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun, specs.SchedFlagKeepPolicy,
		specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax,
	}
	var set uint64
	for _, name := range s.Flags {
		i := slices.Index(flags, name)
		if i < 0 {
			return nil, fmt.Errorf("unknown scheduler flag %q", name)
		}
		set |= 1 << i
	}
	return binary.Append(nil, binary.NativeEndian, unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: uint32(policy), Flags: set, Nice: s.Nice, Priority: uint32(s.Priority),
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period,
	})
}

func ioPriorityOf(p *specs.LinuxIOPriority) (int, error) {
	classes := []specs.IOPriorityClass{"", specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE}
	class := slices.Index(classes, p.Class)
	if class <= 0 {
		return 0, fmt.Errorf("unknown I/O priority class %q", p.Class)
	}
	if p.Priority < 0 || p.Priority > 7 {
		return 0, fmt.Errorf("I/O priority %d is not between 0 and 7", p.Priority)
	}
	return class<<13 | p.Priority, nil
}

func memoryPolicyOf(p *specs.LinuxMemoryPolicy) (*memoryPolicy, error) {
	modes := []specs.MemoryPolicyModeType{
		specs.MpolDefault, specs.MpolPreferred, specs.MpolBind, specs.MpolInterleave, specs.MpolLocal,
		specs.MpolPreferredMany, specs.MpolWeightedInterleave,
	}
	m := &memoryPolicy{mode: slices.Index(modes, p.Mode)}
	if m.mode < 0 {
		return nil, fmt.Errorf("unknown memory policy mode %q", p.Mode)
	}
	flags := map[specs.MemoryPolicyFlagType]int{
		specs.MpolFStaticNodes: 1 << 15, specs.MpolFRelativeNodes: 1 << 14, specs.MpolFNumaBalancing: 1 << 13,
	}
	for _, name := range p.Flags {
		if flags[name] == 0 {
			return nil, fmt.Errorf("unknown memory policy flag %q", name)
		}
		m.mode |= flags[name]
	}
	var err error
	m.nodes, err = maskOf(p.Nodes)
	return m, err
}

// maxMask bounds the numbers in a list of processors or memory nodes.
const maxMask = 8192

// maskOf reads a list such as "0-3,7" into a bit mask of whole 64-bit words; an
// empty list is nil.
func maskOf(list string) ([]byte, error) {
	if list == "" {
		return nil, nil
	}
	var words []uint64
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 32)
		to, err2 := strconv.ParseUint(high, 10, 32)
		if errors.Join(err1, err2) != nil || from > to || to >= maxMask {
			return nil, fmt.Errorf("invalid list of numbers %q", list)
		}
		for n := from; n <= to; n++ {
			for uint64(len(words)) <= n/64 {
				words = append(words, 0)
			}
			words[n/64] |= 1 << (n % 64)
		}
	}
	return binary.Append(nil, binary.LittleEndian, words)
}
