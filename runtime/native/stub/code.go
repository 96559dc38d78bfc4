package stub

import (
	"bytes"
	"encoding/binary"
	"unsafe"
)

// endMark stands behind the code in the text segment: the linker promises no
// order of functions, so a second symbol could not mark the end.
var endMark = [4]uint32{0x62757473, 0x646e652d, 0xa5c35a3c, 0x3c5aa5c3}

// code is never called: its bytes are copied.
//
//lint:ignore U1000 codeStart takes its address
func code()

func codeStart() unsafe.Pointer

// machineCode returns the interpreter's instructions.
func machineCode() []byte {
	var mark []byte
	for _, w := range endMark {
		mark = binary.LittleEndian.AppendUint32(mark, w)
	}
	text := unsafe.Slice((*byte)(codeStart()), dataOffset-codeOffset)
	for i := 0; i+len(mark) <= len(text); i++ {
		// Byte by byte: what lies behind the mark may not be mapped.
		if bytes.Equal(text[i:i+len(mark)], mark) {
			return text[:i]
		}
	}
	panic("stub: machine code without its end mark")
}
