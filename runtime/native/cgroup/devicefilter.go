package cgroup

// The parts of BPF instructions, see linux/bpf_common.h and bpf.h.
const (
	opLoadWord  = 0x61 // dst = *(u32 *)(src + offset)
	opMove      = 0xbc // of 32 bits, like all below
	opMoveValue = 0xb4
	opAnd       = 0x54
	opShift     = 0x74 // to the right
	opJumpEqual = 0x16
	opJumpOther = 0x56
	opExit      = 0x95
)

// The kinds of device, enum bpf_cgroup_dev_type.
const (
	bpfBlock     = 1
	bpfCharacter = 2
)

// deviceFilter compiles the rules into a BPF program that the kernel asks about
// each access to a device (struct bpf_cgroup_dev_ctx: two 16-bit halves of type
// and access, then major and minor). It runs from the last rule to the first and
// strikes out the permissions that an allow rule grants, until none is left, or
// until a deny rule names one that is.
func deviceFilter(rules []deviceRule) []instruction {
	const result, context, kind, wanted, major, minor = 0, 1, 2, 3, 4, 5
	code := []instruction{
		{code: opLoadWord, registers: kind | context<<4},
		{code: opMove, registers: wanted | kind<<4},
		{code: opAnd, registers: kind, value: 0xffff},
		{code: opShift, registers: wanted, value: 16},
		{code: opLoadWord, registers: major | context<<4, offset: 4},
		{code: opLoadWord, registers: minor | context<<4, offset: 8},
	}
	verdict := func(allow bool) []instruction {
		in := instruction{code: opMoveValue, registers: result}
		if allow {
			in.value = 1
		}
		return []instruction{in, {code: opExit}}
	}
	for i := len(rules) - 1; i >= 0; i-- {
		r := rules[i]
		if r.kind == 'a' {
			return append(code, verdict(r.allow)...)
		}
		var body []instruction
		// unless goes on with the next rule unless a register holds a value.
		unless := func(register uint8, value uint32) {
			body = append(body, instruction{code: opJumpOther, registers: register, value: int32(value)})
		}
		unless(kind, bpfKind(r.kind))
		if r.major != anyNumber {
			unless(major, uint32(r.major))
		}
		if r.minor != anyNumber {
			unless(minor, uint32(r.minor))
		}
		if r.allow {
			body = append(body, instruction{code: opAnd, registers: wanted, value: int32(accessAll &^ r.access)})
			unless(wanted, 0)
		} else {
			const named = context // not needed any more
			body = append(body,
				instruction{code: opMove, registers: named | wanted<<4},
				instruction{code: opAnd, registers: named, value: int32(r.access)},
				instruction{code: opJumpEqual, registers: named})
		}
		code = append(code, aim(append(body, verdict(r.allow)...))...)
	}
	return append(code, verdict(false)...)
}

// aim makes the jumps of a block lead behind its end.
func aim(block []instruction) []instruction {
	for i := range block {
		if c := block[i].code; c == opJumpOther || c == opJumpEqual {
			block[i].offset = int16(len(block) - i - 1)
		}
	}
	return block
}

func bpfKind(kind byte) uint32 {
	if kind == 'b' {
		return bpfBlock
	}
	return bpfCharacter
}
