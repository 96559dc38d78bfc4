package oci

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// These are attacks that worked on other runtimes, through the command line as
// Docker uses it: root inside is the host's root. What a hostile image can do with
// links and mount targets is tested in native/rootfs (hostile_linux_test.go).

// A container that executes or overwrites /proc/self/exe must not reach a program
// of the host (CVE-2019-5736).
func TestOwnBinaryIsOutOfReach(t *testing.T) {
	m := newMachine(t)
	before := digest(t, "/proc/self/exe")
	self := func(s *specs.Spec) { s.Process.Args = []string{"/proc/self/exe", "--version"} }
	if out, code := m.do("run", "-b", m.bundle("", self), newID()); code == 0 || strings.Contains(out, "spec: ") {
		t.Errorf("/proc/self/exe is this program: exit %d: %s", code, out)
	}
	script := filepath.Join(m.rootfs, "bin/again")
	check(t, os.WriteFile(script, []byte("#!/proc/self/exe\n"), 0o755))
	again := func(s *specs.Spec) { s.Process.Args = []string{"/bin/again"} }
	if out, code := m.do("run", "-b", m.bundle("", again), newID()); code == 0 || strings.Contains(out, "usage: ") {
		t.Errorf("a script interpreted by /proc/self/exe: exit %d: %s", code, out)
	}
	id, output := m.create(m.bundle(`echo begun
		while :; do for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || { ( echo evil >$p/exe ) && echo WROTE $p; } 2>/dev/null; done; done`))
	m.must("start", id)
	m.awaitFile(output, "begun")
	process := m.lingering()
	for range looks() {
		m.do("exec", "--process", process, id)
	}
	text, err := os.ReadFile(output)
	check(t, err)
	if strings.Contains(string(text), "WROTE") {
		t.Errorf("an executable was written to: %s", text)
	}
	if digest(t, "/proc/self/exe") != before {
		t.Error("the runtime's binary has changed")
	}
}

func digest(t *testing.T, name string) [sha256.Size]byte {
	t.Helper()
	b, err := os.ReadFile(name)
	check(t, err)
	return sha256.Sum256(b)
}

// A working directory that names a descriptor of the runtime must not lead to the
// host (CVE-2024-21626), in run and in exec.
func TestDescriptorsAsDirectories(t *testing.T) {
	m := newMachine(t)
	id, _ := m.create(m.bundle(waiting))
	m.must("start", id)
	for n := range 16 {
		dir := fmt.Sprintf("/proc/self/fd/%d", n)
		cwd := func(s *specs.Spec) { s.Process.Cwd = dir }
		if out, code := m.do("run", "-b", m.bundle("echo inside; pwd; ls", cwd), newID()); code == 0 {
			t.Errorf("run in %s: %s", dir, out)
		}
		if out, code := m.do("exec", "--cwd", dir, id, "sh", "-c", "pwd; ls"); code == 0 {
			t.Errorf("exec in %s: %s", dir, out)
		}
	}
}

// While a process joins the container nobody there sees its descriptors, working
// directory, environment or memory.
func TestJoiningProcessIsHidden(t *testing.T) {
	m := newMachine(t)
	id, output := m.create(m.bundle(`echo begun
		while :; do for p in /proc/[0-9]*; do
			case $(readlink $p/exe) in *busybox|"") ;; *) echo LEAK exe $p;; esac
			case $(readlink $p/cwd) in /|"") ;; *) echo LEAK cwd $p $(readlink $p/cwd);; esac
			for f in $p/fd/*; do case $(readlink $f) in /dev/null|/proc/*|pipe:*|""|*/out|/bin/busybox) ;; *) echo LEAK fd $f $(readlink $f);; esac; done
		done; done 2>/dev/null`))
	m.must("start", id)
	m.awaitFile(output, "begun")
	process := m.lingering()
	for range looks() {
		if out, code := m.do("exec", "--process", process, id); code != 255 {
			t.Errorf("exit %d: %s", code, out)
		}
	}
	text, err := os.ReadFile(output)
	check(t, err)
	if strings.Contains(string(text), "LEAK") {
		t.Errorf("seen from inside:\n%.500s", text)
	}
}

// What the caller has open, in its environment or as its directory stays outside.
func TestCallerStaysOutside(t *testing.T) {
	m := newMachine(t)
	secret, err := os.Open("/etc/passwd")
	check(t, err)
	defer secret.Close()
	cmd := m.command("run", "-b", m.bundle("ls -l /proc/self/fd; env; pwd; readlink /proc/1/cwd"), newID())
	cmd.ExtraFiles = []*os.File{secret}
	cmd.Env = append(os.Environ(), "SECRET=1")
	out, err := cmd.CombinedOutput()
	check(t, err)
	for _, word := range []string{"passwd", "SECRET", m.root} {
		if strings.Contains(string(out), word) {
			t.Errorf("%s is seen: %s", word, out)
		}
	}
}

// System calls that the filter's tables do not know answer ENOSYS, so that programs
// fall back, and what is forbidden cannot be undone by the program.
func TestUnknownSystemCalls(t *testing.T) {
	m := newMachine(t)
	perl, err := os.Stat("/usr/bin/perl")
	if err != nil || !perl.Mode().IsRegular() {
		t.Skip("needs perl")
	}
	errno := uint(1)
	bundle := m.bundle("", func(s *specs.Spec) {
		s.Root.Path, s.Root.Readonly = "/", true
		s.Process.Args = []string{"/usr/bin/perl", "-e", `syscall(9999); print $!+0, "\n"; syscall(165, 0, 0, 0, 0, 0); print $!+0, "\n"`}
		s.Mounts = s.Mounts[:1]
		s.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActErrno, DefaultErrnoRet: &errno, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchAARCH64},
			Syscalls: []specs.LinuxSyscall{{Names: everydayCalls(), Action: specs.ActAllow}},
		}
	})
	if out, code := m.do("run", "-b", bundle, newID()); code != 0 || out != "38\n1" {
		t.Errorf("exit %d: %q", code, out)
	}
}

func everydayCalls() []string {
	return strings.Fields(`access arch_prctl brk capget capset chdir clone clone3 close close_range dup dup2 dup3 execve exit
		exit_group faccessat faccessat2 fcntl fstat futex getcwd getdents64 getegid geteuid getgid getpid getppid getrandom
		getrlimit getuid ioctl lseek mmap mprotect munmap newfstatat open openat pipe pipe2 poll prctl pread64 prlimit64 read
		readlink readlinkat rseq rt_sigaction rt_sigprocmask rt_sigreturn sendto set_robust_list set_tid_address setgid setgroups
		setresgid setresuid setuid sigaltstack stat statfs statx umask uname write writev`)
}

// looks is how often a lingering process is put before the attacker's eyes; an
// emulated machine takes seconds for each.
func looks() int {
	if testing.Short() {
		return 1
	}
	return 5
}

// lingering is a process for exec whose program is looked for so long that the
// process can be looked at meanwhile.
func (m *machine) lingering() string {
	directories := 20_000
	if testing.Short() { // an emulated machine lingers by itself
		directories = 1000
	}
	return m.process(specs.Process{
		Args: []string{"nothing"}, Cwd: "/", Env: []string{"PATH=" + strings.Repeat("/x:", directories) + "/x"},
	})
}
