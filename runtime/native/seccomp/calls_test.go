package seccomp

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
)

var update = flag.Bool("update", false, "write the lists of system calls")

func TestCalls(t *testing.T) {
	for _, c := range []struct {
		table *arch.Info
		list  string
	}{{arch.X86_64, callsX86_64}, {arch.X32, callsX32}, {arch.I386, callsI386}, {arch.AARCH64, callsAARCH64}, {arch.ARM, callsARM}} {
		var want strings.Builder
		for _, n := range slices.Sorted(maps.Keys(c.table.SyscallNumbers)) {
			fmt.Fprintf(&want, "%d %s\n", n, c.table.SyscallNumbers[n])
		}
		file := "calls/" + c.table.Name + ".txt"
		if *update {
			if err := os.WriteFile(file, []byte(want.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if c.list != want.String() {
			t.Errorf("%s is not what go-seccomp-bpf has: go test ./runtime/native/seccomp -run TestCalls -update", file)
		}
		read := map[uint32]string{}
		eachCall(c.list, func(n uint32, name string) { read[n] = name })
		if len(read) != len(c.table.SyscallNumbers) || read[uint32(c.table.SyscallNames["execve"])] != "execve" {
			t.Errorf("%s: read %d of %d calls", file, len(read), len(c.table.SyscallNumbers))
		}
	}
}
