package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// step is an instruction whose jumps are still named.
type step struct {
	unix.SockFilter
	yes, no label
}

type label int

const (
	next label = iota // the following instruction
	pass              // the condition holds: behind its last instruction
	fail              // the rule does not hold: behind its return
)

// holds runs into the instruction behind its end when all conditions hold, and
// skips that instruction otherwise.
func holds(conditions []specs.LinuxSeccompArg, wide bool) []unix.SockFilter {
	var steps []step
	var ends []int // where the condition of each step ends
	for _, c := range conditions {
		code := compare(c, wide)
		for range code {
			ends = append(ends, len(steps)+len(code))
		}
		steps = append(steps, code...)
	}
	out := make([]unix.SockFilter, len(steps))
	for i, s := range steps {
		out[i] = s.SockFilter
		if s.Code&0x07 != unix.BPF_JMP {
			continue
		}
		// At most six conditions of six instructions: a jump has room.
		to := map[label]int{next: i + 1, pass: ends[i], fail: len(steps) + 1}
		out[i].Jt, out[i].Jf = uint8(to[s.yes]-i-1), uint8(to[s.no]-i-1)
	}
	return out
}

// compare checks one argument, the high half first. Both machines are
// little-endian. Arguments of 32-bit ABIs have no high half, and neither have
// the values they are compared with (a profile writes -1 as 64 bits).
func compare(c specs.LinuxSeccompArg, wide bool) []step {
	at := uint32(offsetArgs + 8*c.Index)
	low, high := half{at, uint32(c.Value), uint32(c.ValueTwo)}, half{at + 4, uint32(c.Value >> 32), uint32(c.ValueTwo >> 32)}
	switch c.Op {
	case specs.OpEqualTo:
		return equal(low, high, wide, pass, fail)
	case specs.OpNotEqual:
		return equal(low, high, wide, fail, pass)
	case specs.OpGreaterEqual:
		return order(low, high, wide, unix.BPF_JGE, pass, fail)
	case specs.OpGreaterThan:
		return order(low, high, wide, unix.BPF_JGT, pass, fail)
	case specs.OpLessThan:
		return order(low, high, wide, unix.BPF_JGE, fail, pass)
	case specs.OpLessEqual:
		return order(low, high, wide, unix.BPF_JGT, fail, pass)
	}
	return masked(low, high, wide)
}

// half is 32 bits of an argument and of what it is compared with.
type half struct{ offset, value, second uint32 }

func equal(low, high half, wide bool, yes, no label) []step {
	var out []step
	if wide {
		out = append(out, loadStep(high.offset), jumpStep(unix.BPF_JEQ, high.value, next, no))
	}
	return append(out, loadStep(low.offset), jumpStep(unix.BPF_JEQ, low.value, yes, no))
}

// order compares with op (at least, or above) as unsigned numbers.
func order(low, high half, wide bool, op uint16, yes, no label) []step {
	var out []step
	if wide {
		out = append(out, loadStep(high.offset),
			jumpStep(unix.BPF_JGT, high.value, yes, next), jumpStep(unix.BPF_JEQ, high.value, next, no))
	}
	return append(out, loadStep(low.offset), jumpStep(op, low.value, yes, no))
}

// masked: the first value is the mask, the second what must remain.
func masked(low, high half, wide bool) []step {
	and := func(mask uint32) step {
		return step{SockFilter: unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: mask}}
	}
	var out []step
	if wide {
		out = append(out, loadStep(high.offset), and(high.value), jumpStep(unix.BPF_JEQ, high.second, next, fail))
	}
	return append(out, loadStep(low.offset), and(low.value), jumpStep(unix.BPF_JEQ, low.second, pass, fail))
}

func loadStep(offset uint32) step { return step{SockFilter: load(offset)} }

func jumpStep(op uint16, k uint32, yes, no label) step {
	return step{SockFilter: jump(op, k, 0, 0), yes: yes, no: no}
}
