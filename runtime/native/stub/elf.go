package stub

import (
	"debug/elf"
	"encoding/binary"
	"runtime"
)

// machine is the ELF machine of the code in this binary.
func machine() elf.Machine {
	if runtime.GOARCH == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}

// image wraps the interpreter and data in a static executable: the headers and
// the code in one segment, data in another, and a stack that is not executable.
func image(data []byte) []byte {
	const headers = 64 + 3*56
	text := machineCode()
	le := binary.LittleEndian
	out := make([]byte, 0, dataOffset+len(data))

	out = append(out, 0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT))
	out = append(out, make([]byte, 9)...)
	out = le.AppendUint16(out, uint16(elf.ET_EXEC))
	out = le.AppendUint16(out, uint16(machine()))
	out = le.AppendUint32(out, uint32(elf.EV_CURRENT))
	out = le.AppendUint64(out, codeBase+codeOffset) // entry
	out = le.AppendUint64(out, 64)                  // program headers
	out = le.AppendUint64(out, 0)                   // section headers
	out = le.AppendUint32(out, 0)                   // flags
	for _, half := range []uint16{64, 56, 3, 64, 0, 0} {
		out = le.AppendUint16(out, half)
	}
	segment := func(t elf.ProgType, f elf.ProgFlag, offset, addr, size uint64) {
		out = le.AppendUint32(out, uint32(t))
		out = le.AppendUint32(out, uint32(f))
		for _, w := range []uint64{offset, addr, addr, size, size, 0x10000} {
			out = le.AppendUint64(out, w)
		}
	}
	segment(elf.PT_LOAD, elf.PF_R|elf.PF_X, 0, codeBase, uint64(codeOffset+len(text)))
	segment(elf.PT_LOAD, elf.PF_R|elf.PF_W, dataOffset, dataBase, uint64(len(data)))
	segment(elf.PT_GNU_STACK, elf.PF_R|elf.PF_W, 0, 0, 0)

	out = append(out, make([]byte, codeOffset-headers)...)
	out = append(out, text...)
	out = append(out, make([]byte, dataOffset-len(out))...)
	return append(out, data...)
}
