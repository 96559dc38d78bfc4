package cgroup

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/containerd/cgroups/v3/cgroup2"
	"golang.org/x/sys/unix"
)

// deviceFilter compiles the rules into a BPF program that the kernel asks about
// each access to a device (struct bpf_cgroup_dev_ctx: two 16-bit halves of type
// and access, then major and minor). It runs from the last rule to the first and
// strikes out the permissions that an allow rule grants, until none is left, or
// until a deny rule names one that is.
//
// cgroup2.DeviceFilter would serve, but for two faults in v3.1.3: it grants
// O_RDWR where only "r" is allowed, for it compares any bit instead of all, and
// it dereferences absent device numbers.
func deviceFilter(rules []deviceRule) asm.Instructions {
	const kind, wanted, major, minor = asm.R2, asm.R3, asm.R4, asm.R5
	code := asm.Instructions{
		asm.LoadMem(kind, asm.R1, 0, asm.Word),
		asm.Mov.Reg32(wanted, kind),
		asm.And.Imm32(kind, 0xffff),
		asm.RSh.Imm32(wanted, 16),
		asm.LoadMem(major, asm.R1, 4, asm.Word),
		asm.LoadMem(minor, asm.R1, 8, asm.Word),
	}
	for i := len(rules) - 1; i >= 0; i-- {
		r := rules[i]
		if r.kind == 'a' {
			return label(code, i+1, verdict(r.allow))
		}
		next := ruleLabel(i)
		body := asm.Instructions{asm.JNE.Imm32(kind, bpfKind(r.kind), next)}
		if r.major != anyNumber {
			body = append(body, asm.JNE.Imm32(major, int32(uint32(r.major)), next))
		}
		if r.minor != anyNumber {
			body = append(body, asm.JNE.Imm32(minor, int32(uint32(r.minor)), next))
		}
		if r.allow {
			body = append(body,
				asm.And.Imm32(wanted, int32(accessAll&^r.access)),
				asm.JNE.Imm32(wanted, 0, next))
		} else {
			body = append(body,
				asm.Mov.Reg32(asm.R1, wanted),
				asm.And.Imm32(asm.R1, int32(r.access)),
				asm.JEq.Imm32(asm.R1, 0, next))
		}
		code = label(code, i+1, append(body, verdict(r.allow)...))
	}
	return label(code, 0, verdict(false))
}

// ruleLabel is where the program goes on after rule i.
func ruleLabel(i int) string { return fmt.Sprintf("before-%d", i) }

// label appends block, to which rule i, the one before it, jumps.
func label(code asm.Instructions, i int, block asm.Instructions) asm.Instructions {
	block[0] = block[0].WithSymbol(ruleLabel(i))
	return append(code, block...)
}

func verdict(allow bool) asm.Instructions {
	var v int32
	if allow {
		v = 1
	}
	return asm.Instructions{asm.Mov.Imm32(asm.R0, v), asm.Return()}
}

func bpfKind(kind byte) int32 {
	if kind == 'b' {
		return unix.BPF_DEVCG_DEV_BLOCK
	}
	return unix.BPF_DEVCG_DEV_CHAR
}

// license is declared to the kernel for the program; it calls no helper that
// would ask for another.
const license = "Apache"

// setDevices attaches a filter and then detaches those that were there: for a
// moment both must agree, so that nothing is open that either forbids.
func (g *v2) setDevices(rules []deviceRule, isFresh bool) error {
	if everything := rules[len(rules)-1]; isFresh && everything.kind == 'a' && everything.allow {
		return nil
	}
	dir, err := os.Open(g.at())
	if err != nil {
		return notFound(err)
	}
	defer dir.Close()
	target := int(dir.Fd())
	var old []link.AttachedProgram
	if !isFresh {
		q, err := link.QueryPrograms(link.QueryOptions{Target: target, Attach: ebpf.AttachCGroupDevice})
		if err != nil {
			return fmt.Errorf("cannot list device filters: %w", err)
		}
		old = q.Programs
	}
	if _, err := cgroup2.LoadAttachCgroupDeviceFilter(deviceFilter(rules), license, target); err != nil {
		return denied(fmt.Errorf("cannot attach a device filter: %w", err))
	}
	for _, p := range old {
		if err := detach(target, p.ID); err != nil {
			return err
		}
	}
	return nil
}

func detach(target int, id ebpf.ProgramID) error {
	prog, err := ebpf.NewProgramFromID(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer prog.Close()
		err = link.RawDetachProgram(link.RawDetachProgramOptions{
			Target: target, Program: prog, Attach: ebpf.AttachCGroupDevice,
		})
	}
	if err != nil {
		return fmt.Errorf("cannot detach the previous device filter: %w", err)
	}
	return nil
}
