package seccomp

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// abi is one numbering of system calls.
type abi struct {
	numbers map[string][]uint32 // x32 has two for some names
	private []uint32            // ARM's own calls
	newest  uint32              // the highest number in use, private ones aside
	base    uint32              // where its numbers begin
	wide    bool                // arguments have 64 bits
	ipc     bool                // has socketcall(2) and ipc(2)
}

// newABI reads a list of calls.
func newABI(calls string, base uint32) *abi {
	a := &abi{numbers: make(map[string][]uint32, len(calls)/16), newest: base, base: base}
	eachCall(calls, func(n uint32, name string) {
		nr := base + n
		a.numbers[name] = append(a.numbers[name], nr)
		if n >= privateARM {
			a.private = append(a.private, nr)
		} else {
			a.newest = max(a.newest, nr)
		}
	})
	return a
}

// machine is what shares one value of seccomp_data.arch.
type machine struct {
	audit  uint32
	native *abi
	x32    *abi // on x86_64, when the profile has it
	split  bool // x86_64: numbers from x32Bit on are x32's
}

// x32Bit marks x32's numbers.
const x32Bit = 0x40000000

// privateARM is where ARM's own calls begin, far above the common ones.
const privateARM = 0xf0000

// machinesOf are the ABIs to filter, the native one first. Architectures that
// this machine cannot run are left out.
func machinesOf(goarch string, wanted []specs.Arch) ([]machine, error) {
	for _, a := range wanted {
		if !slices.Contains(knownArchitectures, a) {
			return nil, fmt.Errorf("unknown architecture %q", a)
		}
	}
	has := func(a specs.Arch) bool { return slices.Contains(wanted, a) }
	switch goarch {
	case "amd64":
		m := machine{audit: unix.AUDIT_ARCH_X86_64, split: true, native: wide(newABI(callsX86_64, 0))}
		if has(specs.ArchX32) {
			m.x32 = wide(newABI(callsX32, x32Bit))
		}
		if !has(specs.ArchX86) {
			return []machine{m}, nil
		}
		x86 := newABI(callsI386, 0)
		x86.ipc = true
		return []machine{m, {audit: unix.AUDIT_ARCH_I386, native: x86}}, nil
	case "arm64":
		m := machine{audit: unix.AUDIT_ARCH_AARCH64, native: wide(newABI(callsAARCH64, 0))}
		if !has(specs.ArchARM) {
			return []machine{m}, nil
		}
		return []machine{m, {audit: unix.AUDIT_ARCH_ARM, native: newABI(callsARM, 0)}}, nil
	}
	return nil, fmt.Errorf("architecture %q is not supported", goarch)
}

var knownArchitectures = []specs.Arch{
	specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64, specs.ArchMIPS, specs.ArchMIPS64,
	specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64,
	specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X, specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64,
	specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchSH, specs.ArchSHEB,
}

func wide(a *abi) *abi {
	a.wide = true
	return a
}

// inner is a call inside a multiplexing call.
type inner struct {
	nr    uint32                // of the multiplexing call
	which specs.LinuxSeccompArg // its first argument names the inner one
}

// multiplexed tells how socketcall(2) or ipc(2) reach a call, if they do.
func (a *abi) multiplexed(name string) (inner, bool) {
	if !a.ipc || name == "" {
		return inner{}, false
	}
	for outer, calls := range multiplexers {
		if i := slices.Index(calls, name); i >= 0 {
			which := specs.LinuxSeccompArg{Value: uint64(i), Op: specs.OpEqualTo}
			return inner{a.numbers[outer][0], which}, true
		}
	}
	return inner{}, false
}

// multiplexers list calls by their number inside: linux/net.h and linux/ipc.h.
var multiplexers = map[string][]string{
	"socketcall": {
		"", "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send", "recv",
		"sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
	},
	"ipc": {
		"", "semop", "semget", "semctl", "semtimedop", "", "", "", "", "", "",
		"msgsnd", "msgrcv", "msgget", "msgctl", "", "", "", "", "", "", "shmat", "shmdt", "shmget", "shmctl",
	},
}
