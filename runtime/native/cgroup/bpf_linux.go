package cgroup

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
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

// The layouts of union bpf_attr that are used here, as in linux/bpf.h. Pointers
// are 64 bits wide in all of them.
type (
	bpfLoad struct {
		kind, count         uint32
		instructions        unsafe.Pointer
		license             unsafe.Pointer
		logLevel, logSize   uint32
		log                 unsafe.Pointer
		kernVersion, flags  uint32
		name                [16]byte
		ifindex, expected   uint32
		_, _, _, _, _, _, _ uint64 // what later kernels added
	}
	bpfAttach struct{ target, program, kind, flags, replace uint32 }
	bpfQuery  struct {
		target, kind, flags, attachFlags uint32
		ids                              unsafe.Pointer
		count                            uint32
		_                                uint32
	}
	bpfByID struct{ id, next, flags uint32 }
)

func bpf(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR, unix.EAGAIN: // the verifier was interrupted
		default:
			return -1, errno
		}
	}
}

// loadDeviceProgram loads a program of type BPF_PROG_TYPE_CGROUP_DEVICE.
func loadDeviceProgram(code []instruction) (int, error) {
	license := []byte("Apache\x00") // no helper that would ask for another is called
	a := bpfLoad{
		kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(code)),
		instructions: unsafe.Pointer(&code[0]), license: unsafe.Pointer(&license[0]),
	}
	copy(a.name[:], "stack_devices")
	fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&a), unsafe.Sizeof(a))
	if err != nil && !errors.Is(err, unix.EPERM) {
		log := make([]byte, 1<<16)
		a.logLevel, a.logSize, a.log = 1, uint32(len(log)), unsafe.Pointer(&log[0])
		if again, err2 := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&a), unsafe.Sizeof(a)); err2 == nil {
			return again, nil
		}
		said, _, _ := strings.Cut(string(log), "\x00")
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(said))
		runtime.KeepAlive(log)
	}
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	return fd, err
}

// attachDeviceProgram adds a program to those of a cgroup: all must agree.
func attachDeviceProgram(cgroup, program int) error {
	a := bpfAttach{
		target: uint32(cgroup), program: uint32(program), kind: unix.BPF_CGROUP_DEVICE, flags: unix.BPF_F_ALLOW_MULTI,
	}
	_, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&a), unsafe.Sizeof(a))
	return err
}

func detachDeviceProgram(cgroup, program int) error {
	a := bpfAttach{target: uint32(cgroup), program: uint32(program), kind: unix.BPF_CGROUP_DEVICE}
	_, err := bpf(unix.BPF_PROG_DETACH, unsafe.Pointer(&a), unsafe.Sizeof(a))
	return err
}

// devicePrograms lists the ids of a cgroup's own device programs; the kernel
// allows 64.
func devicePrograms(cgroup int) ([]uint32, error) {
	ids := make([]uint32, 64)
	a := bpfQuery{
		target: uint32(cgroup), kind: unix.BPF_CGROUP_DEVICE, ids: unsafe.Pointer(&ids[0]), count: uint32(len(ids)),
	}
	_, err := bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&a), unsafe.Sizeof(a))
	runtime.KeepAlive(ids)
	if err != nil {
		return nil, err
	}
	return ids[:a.count], nil
}

// openProgram returns a descriptor of a loaded program.
func openProgram(id uint32) (int, error) {
	a := bpfByID{id: id}
	return bpf(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&a), unsafe.Sizeof(a))
}
