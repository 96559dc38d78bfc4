package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine says what the numbers were measured on.
func machine() string {
	var u unix.Utsname
	unix.Uname(&u) // cannot fail with a valid pointer
	text := func(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }
	load, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	return fmt.Sprintf("machine: %s %s %s, %d cores (%s), %s MB, cgroup %s, load %s; %s\n",
		text(u.Sysname[:]), text(u.Release[:]), text(u.Machine[:]), runtime.NumCPU(), field("/proc/cpuinfo", "model name"),
		megabytes(field("/proc/meminfo", "MemTotal")), cgroupMode(), load, distribution())
}

func cgroupMode() string {
	var st unix.Statfs_t
	unix.Statfs(cgroupRoot, &st)
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		return "v2"
	}
	if err := unix.Statfs(cgroupRoot+"/unified", &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		return "v1 (hybrid)"
	}
	return "v1"
}

func firstLine(path string) string {
	b, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

// field is the value of the first "NAME : VALUE" line of a file.
func field(path, name string) string {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func megabytes(kb string) string {
	var n int
	fmt.Sscanf(kb, "%d", &n)
	return fmt.Sprint(n / 1024)
}

func distribution() string {
	b, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return "unknown distribution"
}
