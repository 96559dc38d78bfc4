package netns

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// classifier finds the class of a packet by the link that it came from or goes to,
// which is the one thing about it that a container cannot choose: see portMinor.
func classifier() *ebpf.ProgramSpec {
	const ingressIfindex = 36 // its offset in struct __sk_buff (linux/bpf.h)
	return &ebpf.ProgramSpec{
		Name: "stack_shaper", Type: ebpf.SchedCLS, License: "Apache", // it calls no helper
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R0, asm.R1, ingressIfindex, asm.Word),
			asm.Mod.Imm32(asm.R0, maxMinor),
			asm.Add.Imm32(asm.R0, 1),
			asm.Or.Imm32(asm.R0, htbHandle),
			asm.Return(),
		},
	}
}

// loadClassifier gives the loaded program, to be closed.
func loadClassifier() (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(classifier())
	if err != nil {
		return nil, fmt.Errorf("cannot load the program that tells links apart: %w", err)
	}
	return p, nil
}
