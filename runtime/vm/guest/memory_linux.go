package guest

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ownMemory is what the container leaves to this process and the kernel: a hog is
// killed in there, and the machine lives on.
const ownMemory = 24 << 20

// limitMemory gives the container the rest.
func limitMemory(s *specs.Spec) {
	limit := int64(memory("MemAvailable:")) - ownMemory
	if limit <= 0 || s.Linux.Resources == nil {
		return
	}
	s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit}
}

// memory is a line of /proc/meminfo, in bytes.
func memory(name string) uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if f := strings.Fields(string(line)); len(f) > 1 && f[0] == name {
			kb, _ := strconv.ParseUint(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}
