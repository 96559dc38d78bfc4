package stub

import (
	"encoding/binary"
	"runtime"
)

// Values of elf(5). Package debug/elf has them, too, and with it what reads
// executables: decompression, DWARF.
const (
	class64        = 2
	littleEndian   = 1
	currentVersion = 1
	executable     = 2

	machineX86   = 62
	machineARM   = 183
	segmentLoad  = 1
	segmentStack = 0x6474e551
	mayExecute   = 1
	mayWrite     = 2
	mayRead      = 4
)

// machine is the ELF machine of the code in this binary.
func machine() uint16 {
	if runtime.GOARCH == "arm64" {
		return machineARM
	}
	return machineX86
}

// head puts before the data, which begin at dataOffset, what makes the file a static
// executable: the headers and the code in one segment, the data in another, and a stack
// that is not executable.
func head(file []byte) {
	const headers = 64 + 3*56
	text := machineCode()
	le := binary.LittleEndian
	out := file[:0]

	out = append(out, 0x7f, 'E', 'L', 'F', class64, littleEndian, currentVersion)
	out = append(out, make([]byte, 9)...)
	out = le.AppendUint16(out, executable)
	out = le.AppendUint16(out, machine())
	out = le.AppendUint32(out, currentVersion)
	out = le.AppendUint64(out, codeBase+codeOffset) // entry
	out = le.AppendUint64(out, 64)                  // program headers
	out = le.AppendUint64(out, 0)                   // section headers
	out = le.AppendUint32(out, 0)                   // flags
	for _, half := range []uint16{64, 56, 3, 64, 0, 0} {
		out = le.AppendUint16(out, half)
	}
	segment := func(kind, flags uint32, offset, addr, size uint64) {
		out = le.AppendUint32(out, kind)
		out = le.AppendUint32(out, flags)
		for _, w := range []uint64{offset, addr, addr, size, size, 0x10000} {
			out = le.AppendUint64(out, w)
		}
	}
	segment(segmentLoad, mayRead|mayExecute, 0, codeBase, uint64(codeOffset+len(text)))
	segment(segmentLoad, mayRead|mayWrite, dataOffset, dataBase, uint64(len(file)-dataOffset))
	segment(segmentStack, mayRead|mayWrite, 0, 0, 0)

	out = append(out, make([]byte, codeOffset-headers)...)
	out = append(out, text...)
	if len(out) > dataOffset {
		panic("stub: the code is larger than the room before the data")
	}
}
