package seccomp

import (
	_ "embed"
	"strconv"
	"strings"
)

// The system calls of an architecture, a line each: number and name, in ascending
// order. They are those of go-seccomp-bpf, which the tests hold them to and `go test
// -update` writes; linked in, that package would build maps of ten architectures at
// every start of a program that makes containers.
var (
	//go:embed calls/x86_64.txt
	callsX86_64 string
	//go:embed calls/x32.txt
	callsX32 string
	//go:embed calls/i386.txt
	callsI386 string
	//go:embed calls/aarch64.txt
	callsAARCH64 string
	//go:embed calls/arm.txt
	callsARM string
)

// eachCall reads such a list.
func eachCall(list string, f func(n uint32, name string)) {
	for line := range strings.Lines(list) {
		number, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if n, err := strconv.ParseUint(number, 10, 32); ok && err == nil {
			f(uint32(n), name)
		}
	}
}
