package seccomp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// call is struct seccomp_data.
type call struct {
	nr, audit uint32
	args      [6]uint64
}

func (c call) word(offset uint32) (uint32, error) {
	switch {
	case offset == offsetNumber:
		return c.nr, nil
	case offset == offsetArch:
		return c.audit, nil
	case offset >= offsetArgs && offset < offsetArgs+48 && offset%4 == 0:
		value := c.args[(offset-offsetArgs)/8]
		if offset%8 != 0 {
			value >>= 32
		}
		return uint32(value), nil
	}
	return 0, fmt.Errorf("load from offset %d", offset)
}

// run interprets a filter as the kernel does and tells the steps it took. It
// accepts what the kernel's checker accepts: jumps go forward, into the program.
func run(prog []unix.SockFilter, c call) (value uint32, steps int, err error) {
	var acc uint32
	for pc := 0; pc < len(prog); pc++ {
		steps++
		in := prog[pc]
		taken := func(ok bool) {
			if ok {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			if acc, err = c.word(in.K); err != nil {
				return 0, steps, err
			}
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			acc &= in.K
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(in.K)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			taken(acc == in.K)
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			taken(acc > in.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			taken(acc >= in.K)
		case unix.BPF_RET | unix.BPF_K:
			return in.K, steps, nil
		default:
			return 0, steps, fmt.Errorf("unknown instruction %#x", in.Code)
		}
	}
	return 0, steps, fmt.Errorf("the program ends without a return")
}
