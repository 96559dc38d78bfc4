// Emit writes the executable of a small script to standard output: what the
// tests run under an emulator of another architecture.
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

func main() {
	var s stub.Script
	i := s.Slot()
	hello := s.String("hello\n")
	again := s.Here()
	s.Call("write", unix.SYS_WRITE, stub.Int(1), hello, stub.Int(6))
	s.Call("close nothing", unix.SYS_CLOSE, stub.Int(-1)).Allow(unix.ENOENT, unix.EBADF)
	done := s.Label()
	s.Compute(i, i, 0, ^uint64(0), stub.Int(1))
	s.If(i, stub.Int(3), done)
	s.Jump(again)
	s.Place(done)
	s.ReportTo(stub.Int(1))
	s.Call("close nothing again", unix.SYS_CLOSE, stub.Int(-1)).Allow(unix.ENOENT).Exit(9)
	image, _, err := s.ELF()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(image)
}
