package scheduler

import (
	"bufio"
	"encoding/hex"
	"strings"
)

// machines are ELF's numbers of processors (elf.h), by the name that platforms have.
func machines() map[string]uint16 {
	return map[string]uint16{
		"386": 3, "amd64": 62, "arm": 40, "arm64": 183, "loong64": 258, "mips64le": 8, "mips64": 8,
		"ppc64le": 21, "ppc64": 21, "riscv64": 243, "s390x": 22,
	}
}

// runsHere says whether programs of a platform (OS/ARCH[/VARIANT], or ARCH) run on a
// machine: natively, or by an interpreter among the entries of binfmt_misc.
func runsHere(platform, machine string, entries []string) bool {
	arch := strings.TrimPrefix(platform, "linux/")
	arch, _, _ = strings.Cut(arch, "/")
	switch arch {
	case "x86_64", "x86-64":
		arch = "amd64"
	case "aarch64":
		arch = "arm64"
	case "i386":
		arch = "386"
	case "armhf", "armel":
		arch = "arm"
	}
	if arch == machine || arch == "386" && machine == "amd64" {
		return true
	}
	number, known := machines()[arch]
	if !known {
		return false
	}
	for _, e := range entries {
		if n, ok := interpreted(e); ok && n == number {
			return true
		}
	}
	return false
}

// interpreted reads an entry of /proc/sys/fs/binfmt_misc (admin-guide/binfmt-misc):
// the ELF number of the processor whose programs it runs inside containers too. For
// that the interpreter must have been opened when it was registered (flag F).
func interpreted(entry string) (machine uint16, ok bool) {
	enabled, fixed := false, false
	var magic []byte
	lines := bufio.NewScanner(strings.NewReader(entry))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), " ")
		switch key {
		case "enabled":
			enabled = true
		case "flags:":
			fixed = strings.Contains(value, "F")
		case "offset":
			if value != "0" {
				return 0, false
			}
		case "magic":
			magic, _ = hex.DecodeString(value)
		}
	}
	const data, at = 5, 18 // EI_DATA, e_machine
	if !enabled || !fixed || len(magic) < at+2 || string(magic[:4]) != "\x7fELF" {
		return 0, false
	}
	if magic[data] == 2 { // big endian
		return uint16(magic[at])<<8 | uint16(magic[at+1]), true
	}
	return uint16(magic[at+1])<<8 | uint16(magic[at]), true
}
