package seccomp

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/native/seccomp/profiles"
)

const childEnv = "SECCOMP_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		restricted()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// restricted loads the default profile into this process and tells what some
// calls answer then.
func restricted() {
	s, err := profiles.Default(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	deny := uint(unix.ETXTBSY)
	s.Syscalls = append([]specs.LinuxSyscall{{
		Names: []string{"getppid"}, Action: specs.ActErrno, ErrnoRet: &deny,
		Args: []specs.LinuxSeccompArg{{Index: 0, Value: 1<<32 | 7, Op: specs.OpEqualTo}},
	}}, s.Syscalls...)
	// Allowed without conditions further down, which takes the rule's place.
	s.Syscalls = dropName(s.Syscalls, "getppid")
	f, err := Compile(s)
	if err != nil {
		fmt.Println(err)
		return
	}
	runtime.LockOSThread()
	if err := apply(f); err != nil {
		fmt.Println(err)
		return
	}
	say := func(name string, nr uintptr, args ...uintptr) {
		var a [3]uintptr
		copy(a[:], args)
		_, _, no := unix.RawSyscall(nr, a[0], a[1], a[2])
		fmt.Printf("%s=%d\n", name, int(no))
	}
	say("getpid", unix.SYS_GETPID)
	say("unshare", unix.SYS_UNSHARE, unix.CLONE_NEWUTS)
	say("mount", unix.SYS_MOUNT)
	say("bpf", unix.SYS_BPF)
	say("future", 5000)
	say("minus", ^uintptr(0))
	say("unix", unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM)
	say("vsock", unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM)
	say("personality", unix.SYS_PERSONALITY, 0xffffffff)
	say("persona", unix.SYS_PERSONALITY, 0x1234)
	say("wide", unix.SYS_GETPPID, 1<<32|7)
	say("narrow", unix.SYS_GETPPID, 7)
}

func dropName(rules []specs.LinuxSyscall, name string) []specs.LinuxSyscall {
	for i := range rules[1:] {
		rules[i+1].Names = strings.Fields(strings.ReplaceAll(" "+strings.Join(rules[i+1].Names, " ")+" ", " "+name+" ", " "))
	}
	return rules
}

// apply loads a filter into every thread of this process.
func apply(f *Filter) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(f.Prog)), Filter: &f.Prog[0]}
	_, _, no := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(f.Flags), uintptr(unsafe.Pointer(&prog)))
	if no != 0 {
		return no
	}
	return nil
}

func TestKernelAgrees(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// AF_VSOCK and getppid with the number 7 fall to the default action.
	want := map[string]unix.Errno{
		"getpid": 0, "unshare": unix.EPERM, "mount": unix.EPERM, "bpf": unix.EPERM, "future": unix.ENOSYS, "minus": unix.ENOSYS,
		"unix": 0, "vsock": unix.EPERM, "personality": 0, "persona": unix.EPERM, "wide": unix.ETXTBSY, "narrow": unix.EPERM,
	}
	got := string(out)
	for name, no := range want {
		if line := fmt.Sprintf("%s=%d\n", name, int(no)); !strings.Contains("\n"+got, "\n"+line) {
			t.Errorf("want %q in\n%s", line, got)
		}
	}
}

func goarchOf(*testing.T) string { return runtime.GOARCH }

func native(t *testing.T) *arch.Info {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	return info
}
