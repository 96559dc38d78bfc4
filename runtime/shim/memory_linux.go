package shim

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// giveBack returns what only the start needed: garbage on the heap, and the pages
// of the program that its initialisation touched, whose clean copies the kernel
// reads again from the page cache when they are wanted.
func giveBack() {
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil || dynamic(string(maps)) {
		return // it is only memory
	}
	for line := range strings.Lines(string(maps)) {
		if from, size, ok := programPages(line); ok {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, size, unix.MADV_DONTNEED)
		}
	}
}

// dynamic reports whether a dynamic linker is mapped. It relocates data before that
// becomes read-only, and such changes would be lost; our binaries are static.
func dynamic(maps string) bool { return strings.Contains(maps, "/ld-") }

// programPages reads a line of /proc/PID/maps: whether it maps a file that nobody
// can write to, and where.
func programPages(line string) (from, size uintptr, ok bool) {
	f := strings.Fields(line)
	if len(f) < 6 || len(f[1]) != 4 || f[1][1] == 'w' || f[1][3] != 'p' || !strings.HasPrefix(f[5], "/") {
		return 0, 0, false
	}
	low, high, _ := strings.Cut(f[0], "-")
	a, err1 := strconv.ParseUint(low, 16, 8*int(unsafe.Sizeof(from)))
	b, err2 := strconv.ParseUint(high, 16, 8*int(unsafe.Sizeof(from)))
	return uintptr(a), uintptr(b - a), err1 == nil && err2 == nil
}
