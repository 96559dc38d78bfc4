package kernel

import (
	"fmt"
	"io"
)

// archive writes a cpio archive in the "newc" format, which the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	w     io.Writer
	inode int
	err   error
}

const (
	typeDirectory = 0o040000
	typeFile      = 0o100000
	typeCharacter = 0o020000
)

// entry appends one; major and minor are a device's.
func (a *archive) entry(name string, mode int, content []byte, major, minor int) {
	a.inode++
	a.text(fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0, name), 110+len(name)+1)
	a.bytes(content)
	a.pad(len(content))
}

func (a *archive) text(s string, size int) {
	a.bytes([]byte(s))
	a.pad(size)
}

func (a *archive) bytes(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
}

func (a *archive) pad(size int) {
	a.bytes(make([]byte, (4-size%4)%4))
}

func (a *archive) directory(name string) { a.entry(name, typeDirectory|0o755, nil, 0, 0) }

func (a *archive) file(name string, mode int, content []byte) {
	a.entry(name, typeFile|mode, content, 0, 0)
}

func (a *archive) character(name string, mode, major, minor int) {
	a.entry(name, typeCharacter|mode, nil, major, minor)
}

// close ends the archive.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, nil, 0, 0)
	return a.err
}
