package stub

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// The numbers used below; the package itself knows none.
const (
	sysWrite = syscall.SYS_WRITE
	sysClose = syscall.SYS_CLOSE
	sysExit  = syscall.SYS_EXIT_GROUP
)

// run executes s and returns what it wrote to standard output and its status.
func run(t *testing.T, s *Script) (string, Table, int) {
	t.Helper()
	image, table, err := s.ELF()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(image, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, status := execute(t, f)
	return out, table, status
}

// execute runs the program in f.
func execute(t *testing.T, f *os.File) (string, int) {
	t.Helper()
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{f}
	out, err := cmd.Output()
	if err != nil && !asExit(err) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func asExit(err error) bool {
	_, ok := err.(*exec.ExitError)
	return ok
}

func TestRunsInOrderAndExits(t *testing.T) {
	var s Script
	s.Call("say", sysWrite, Int(1), s.String("one "), Int(4))
	s.Call("say", sysWrite, Int(1), s.String("two"), Int(3))
	s.Call("leave", sysExit, Int(42))
	out, _, status := run(t, &s)
	if out != "one two" || status != 42 {
		t.Errorf("got %q, status %d", out, status)
	}
}

func TestFailureNamesItsStep(t *testing.T) {
	var s Script
	s.ReportTo(Int(1))
	s.Call("do the harmless thing", sysWrite, Int(1), s.String(""), Int(0))
	s.Call("do the other thing", sysClose, Int(-1)).Allow(syscall.ENOENT).Exit(77)
	s.Call("never", sysWrite, Int(1), s.String("x"), Int(1))
	out, table, status := run(t, &s)
	f, ok := ParseFailure([]byte(out))
	if !ok || f.Errno != syscall.EBADF || table.Find(f.Step) != "do the other thing" || status != 77 {
		t.Errorf("got %q %v %q, status %d", out, f, table.Find(f.Step), status)
	}
}

func TestAllowedErrnos(t *testing.T) {
	for name, allow := range map[string][]syscall.Errno{
		"first": {syscall.EBADF, syscall.EIO},
		"last":  {syscall.EIO, syscall.EPERM, syscall.EACCES, syscall.EBADF},
		"any":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			var s Script
			l, same, r := s.Label(), s.Label(), s.Slot()
			c := s.Call("close", sysClose, Int(-1)).Into(r).Else(l)
			if allow == nil {
				c.AllowAny()
			} else {
				c.Allow(allow...)
			}
			s.Call("leave", sysExit, Int(1))
			s.Place(l)
			s.If(r, Int(-int64(syscall.EBADF)), same)
			s.Call("leave", sysExit, Int(2))
			s.Place(same)
			s.Call("leave", sysExit, Int(3))
			if _, _, status := run(t, &s); status != 3 {
				t.Errorf("status %d", status)
			}
		})
	}
}

func TestComputeAndLoop(t *testing.T) {
	var s Script
	i, v := s.Slot(), s.Slot()
	again := s.Here()
	s.Call("say", sysWrite, Int(1), s.String("."), Int(1))
	s.Compute(i, i, 0, ^uint64(0), Int(1))
	done := s.Label()
	s.If(i, Int(5), done)
	s.Jump(again)
	s.Place(done)
	s.Set(v, Int(0xab00))
	s.Compute(v, v, 8, 0x0f, Int(100)) // 11 + 100
	s.Call("leave", sysExit, v)
	out, _, status := run(t, &s)
	if out != "....." || status != 111 {
		t.Errorf("got %q, status %d", out, status)
	}
}

func TestFailWithStoredErrno(t *testing.T) {
	var s Script
	r := s.Slot()
	s.ReportTo(Int(1))
	s.Call("try", sysClose, Int(-1)).Into(r).AllowAny()
	s.Fail("succeed at last", r, 5)
	out, table, status := run(t, &s)
	f, ok := ParseFailure([]byte(out))
	if !ok || f.Errno != syscall.EBADF || table.Find(f.Step) != "succeed at last" || status != 5 {
		t.Errorf("got %q, status %d", out, status)
	}
}

func TestEndOfScriptIsAFailure(t *testing.T) {
	var s Script
	s.ReportTo(Int(1))
	out, table, status := run(t, &s)
	f, ok := ParseFailure([]byte(out))
	if !ok || table.Find(f.Step) != "end the script" || status != 1 {
		t.Errorf("got %q, status %d", out, status)
	}
}

func TestUnplacedLabel(t *testing.T) {
	var s Script
	s.Jump(s.Label())
	if _, _, err := s.ELF(); err == nil {
		t.Error("assembled a jump to nowhere")
	}
}

func TestImageIsStrict(t *testing.T) {
	var s Script
	s.Call("leave", sysExit, Int(0))
	image, _, err := s.ELF()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Progs {
		if p.Flags&elf.PF_W != 0 && p.Flags&elf.PF_X != 0 {
			t.Errorf("segment %v is writable and executable", p.Type)
		}
	}
	if n := len(machineCode()); n > 512 {
		t.Errorf("the interpreter has grown to %d bytes", n)
	}
}

func TestMemfdIsSealed(t *testing.T) {
	f, err := openMemfd([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("y"), 0); err == nil {
		t.Error("wrote into a sealed memfd")
	}
	if err := f.Truncate(0); err == nil {
		t.Error("truncated a sealed memfd")
	}
}

// Where executing memfds is forbidden an unlinked file does as well.
func TestUnlinkedFile(t *testing.T) {
	var s Script
	s.Call("leave", sysExit, Int(6))
	image, _, err := s.ELF()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f, err := openUnlinked(image, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, status := execute(t, f); status != 6 {
		t.Errorf("status %d", status)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("the descriptor is writable")
	}
}

// TestOtherArchitecture runs the other architecture's interpreter in an emulator.
func TestOtherArchitecture(t *testing.T) {
	arch, emulator := "arm64", "qemu-aarch64-static"
	if runtime.GOARCH == "arm64" {
		arch, emulator = "amd64", "qemu-x86_64-static"
	}
	qemu, err := exec.LookPath(emulator)
	if err != nil {
		if os.Getenv("STACK_TEST_STRICT") == "1" {
			t.Fatalf("%s is missing", emulator)
		}
		t.Skipf("%s is missing (Debian package qemu-user-static)", emulator)
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "emit"), "./testdata/emit")
	build.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	image, err := exec.Command(qemu, filepath.Join(dir, "emit")).Output()
	if err != nil {
		t.Fatal(err)
	}
	prog := filepath.Join(dir, "prog")
	if err := os.WriteFile(prog, image, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(qemu, prog)
	out, err := cmd.Output()
	if err != nil && !asExit(err) {
		t.Fatal(err)
	}
	record, _ := strings.CutPrefix(string(out), strings.Repeat("hello\n", 3))
	f, ok := ParseFailure([]byte(record))
	if !ok || f.Errno != syscall.EBADF || cmd.ProcessState.ExitCode() != 9 {
		t.Errorf("got %q, status %d", out, cmd.ProcessState.ExitCode())
	}
}
