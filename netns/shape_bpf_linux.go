package netns

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// instruction is struct bpf_insn: registers are destination and, in the high four
// bits, source.
type instruction struct {
	code      uint8
	registers uint8
	offset    int16
	value     int32
}

// classifier finds the class of a packet by the link that it came from or goes to,
// which is the one thing about it that a container cannot choose: see portMinor.
func classifier() []instruction {
	const ingressIfindex = 36 // its offset in struct __sk_buff (linux/bpf.h)
	return []instruction{
		{code: unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W, registers: 1 << 4, offset: ingressIfindex}, // r0 = r1->…
		{code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, value: maxMinor},
		{code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K, value: 1},
		{code: unix.BPF_ALU | unix.BPF_OR | unix.BPF_K, value: htbHandle},
		{code: unix.BPF_JMP | unix.BPF_EXIT},
	}
}

// loadClassifier gives the descriptor of the loaded program. The structure begins
// as union bpf_attr does for BPF_PROG_LOAD.
func loadClassifier() (int, error) {
	code, license := classifier(), []byte("Apache\x00") // it calls no helper
	attr := struct {
		kind, count           uint32
		instructions, license unsafe.Pointer
		logLevel, logSize     uint32
		log                   unsafe.Pointer
		kernel, flags         uint32
		name                  [16]byte
	}{
		kind: unix.BPF_PROG_TYPE_SCHED_CLS, count: uint32(len(code)),
		instructions: unsafe.Pointer(&code[0]), license: unsafe.Pointer(&license[0]),
	}
	copy(attr.name[:], "stack_shaper")
	for {
		fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
		runtime.KeepAlive(code)
		runtime.KeepAlive(license)
		switch errno {
		case 0:
			return int(fd), nil
		case unix.EAGAIN, unix.EINTR: // the verifier was interrupted
		default:
			return -1, fmt.Errorf("cannot load the program that tells links apart: %w", errno)
		}
	}
}
