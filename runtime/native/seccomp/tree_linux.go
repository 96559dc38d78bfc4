package seccomp

import (
	"maps"
	"math"
	"slices"

	"golang.org/x/sys/unix"
)

// span is a range of call numbers with one outcome; it ends where the next one
// starts.
type span struct {
	start uint32
	outcome
	wide bool // how the outcome's rules read arguments
}

// offsets in struct seccomp_data
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

// dispatch is the whole program: find the ABI, then the number.
func dispatch(machines []machine, p profile) []unix.SockFilter {
	prog := []unix.SockFilter{load(offsetArch)}
	rest := []unix.SockFilter{ret(unix.SECCOMP_RET_KILL_PROCESS)}
	for _, m := range slices.Backward(machines) {
		body := append([]unix.SockFilter{load(offsetNumber)}, tree(spans(m, p))...)
		head := []unix.SockFilter{jump(unix.BPF_JEQ, m.audit, 1, 0), {Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(len(body))}}
		rest = slices.Concat(head, body, rest)
	}
	return append(prog, rest...)
}

// spans covers every number of a machine.
func spans(m machine, p profile) []span {
	if !m.split {
		return merge(abiSpans(m.native, p))
	}
	out := abiSpans(m.native, p)
	if m.x32 == nil {
		out = append(out, span{start: x32Bit, outcome: outcome{action: unix.SECCOMP_RET_KILL_PROCESS}})
	} else {
		out = append(out, abiSpans(m.x32, p)...)
	}
	// syscall(-1) is nobody's.
	return merge(append(out, span{start: math.MaxUint32, outcome: outcome{action: p.unknown}}))
}

// abiSpans lists the ranges of one ABI by their starts.
func abiSpans(a *abi, p profile) []span {
	decided := p.outcomes(a)
	starts := map[uint32]bool{a.base: true, a.newest + 1: true}
	known := map[uint32]bool{}
	for _, nr := range a.private {
		known[nr] = true
		starts[nr], starts[nr+1] = true, true
	}
	for nr := range decided {
		starts[nr], starts[nr+1] = true, true
	}
	var out []span
	for _, start := range slices.Sorted(maps.Keys(starts)) {
		o, ok := decided[start]
		switch {
		case ok:
		case start <= a.newest || known[start]:
			o = outcome{action: p.fallback}
		default:
			o = outcome{action: p.unknown}
		}
		out = append(out, span{start, o, a.wide})
	}
	return out
}

// merge joins neighbours that are decided alike.
func merge(in []span) []span {
	var out []span
	for _, s := range in {
		if n := len(out); n > 0 && s.rules == nil && out[n-1].rules == nil && s.action == out[n-1].action {
			continue
		}
		out = append(out, s)
	}
	return out
}

// tree finds the number's span by halving, then runs its outcome.
func tree(s []span) []unix.SockFilter {
	if len(s) == 1 {
		return decide(s[0])
	}
	middle := len(s) / 2
	low, high := tree(s[:middle]), tree(s[middle:])
	at := s[middle].start
	if len(low) <= math.MaxUint8 {
		return slices.Concat([]unix.SockFilter{jump(unix.BPF_JGE, at, uint8(len(low)), 0)}, low, high)
	}
	far := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(len(low))}
	return slices.Concat([]unix.SockFilter{jump(unix.BPF_JGE, at, 0, 1), far}, low, high)
}

// decide runs the rules of one span in order.
func decide(s span) []unix.SockFilter {
	var out []unix.SockFilter
	for _, r := range s.rules {
		out = append(out, holds(r.conditions, s.wide)...)
		out = append(out, ret(r.action))
	}
	return append(out, ret(s.action))
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func ret(value uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: value}
}

func jump(op uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | op, K: k, Jt: yes, Jf: no}
}
