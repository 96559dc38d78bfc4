package seccomp

import (
	"math"
	"slices"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"stack/runtime/native/seccomp/profiles"
)

// view is an ABI as the test sees it, apart from the compiler's own types.
type view struct {
	goarch string
	arch   specs.Arch
	audit  uint32
	base   uint32
	table  *arch.Info
	wide   bool
}

var views = []view{
	{"amd64", specs.ArchX86_64, 0xc000003e, 0, arch.X86_64, true},
	{"amd64", specs.ArchX86, 0x40000003, 0, arch.I386, false},
	{"amd64", specs.ArchX32, 0xc000003e, 0x40000000, arch.X32, true},
	{"arm64", specs.ArchAARCH64, 0xc00000b7, 0, arch.AARCH64, true},
	{"arm64", specs.ArchARM, 0x40000028, 0, arch.ARM, false},
}

var actions = map[specs.LinuxSeccompAction]uint32{
	specs.ActKill: 0, specs.ActKillThread: 0, specs.ActKillProcess: 0x80000000, specs.ActTrap: 0x30000,
	specs.ActErrno: 0x50001, specs.ActTrace: 0x7ff00001, specs.ActAllow: 0x7fff0000, specs.ActLog: 0x7ffc0000,
}

var operators = []specs.LinuxSeccompOperator{
	specs.OpEqualTo, specs.OpNotEqual, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpLessEqual, specs.OpLessThan, specs.OpMaskedEqual,
}

// judge evaluates the profile by its words, one call at a time.
func judge(s *specs.LinuxSeccomp, v view, c call) uint32 {
	if v.arch != specs.ArchX86_64 && v.arch != specs.ArchAARCH64 && !slices.Contains(s.Architectures, v.arch) {
		return 0x80000000
	}
	fallback := wanted(s.DefaultAction, s.DefaultErrnoRet)
	name, known := v.table.SyscallNumbers[int(c.nr-v.base)]
	if !known && newerThanAll(v, c.nr-v.base) && !slices.Contains([]specs.LinuxSeccompAction{specs.ActAllow, specs.ActLog, specs.ActTrace}, s.DefaultAction) {
		return 0x50000 | uint32(unix.ENOSYS)
	}
	var first *uint32
	for _, r := range s.Syscalls {
		action := wanted(r.Action, r.ErrnoRet)
		if !known || action == fallback {
			continue
		}
		always, held := ruleHolds(r, v, name, c)
		if always {
			return action
		}
		if held && first == nil {
			first = &action
		}
	}
	// An unconditional rule further down beats an earlier conditional one, so
	// the first conditional counts only now.
	if first != nil {
		return *first
	}
	return fallback
}

func wanted(a specs.LinuxSeccompAction, errno *uint) uint32 {
	value := actions[a]
	if errno != nil {
		value = value&^0xffff | uint32(*errno)
	}
	return value
}

func newerThanAll(v view, nr uint32) bool {
	for n := range v.table.SyscallNumbers {
		if n < 0xf0000 && uint32(n) >= nr {
			return false
		}
	}
	return true
}

func ruleHolds(r specs.LinuxSyscall, v view, name string, c call) (always, held bool) {
	args := c.args
	if v.arch == specs.ArchX86 && len(r.Args) == 0 {
		for _, inside := range r.Names {
			nr := slices.Index(multiplexers[name], inside)
			if nr > 0 && uint32(args[0]) == uint32(nr) {
				held = true
			}
		}
	}
	if !slices.Contains(r.Names, name) {
		return false, held
	}
	if len(r.Args) == 0 {
		return true, true
	}
	var indices []uint
	any, all := false, true
	for _, a := range r.Args {
		indices = append(indices, a.Index)
		ok := argHolds(a, args[a.Index], v.wide)
		any, all = any || ok, all && ok
	}
	slices.Sort(indices)
	if len(slices.Compact(indices)) < len(r.Args) {
		return false, any
	}
	return false, all
}

func argHolds(a specs.LinuxSeccompArg, is uint64, wide bool) bool {
	one, two := a.Value, a.ValueTwo
	if !wide {
		is, one, two = is&math.MaxUint32, one&math.MaxUint32, two&math.MaxUint32
	}
	switch a.Op {
	case specs.OpEqualTo:
		return is == one
	case specs.OpNotEqual:
		return is != one
	case specs.OpGreaterEqual:
		return is >= one
	case specs.OpGreaterThan:
		return is > one
	case specs.OpLessEqual:
		return is <= one
	case specs.OpLessThan:
		return is < one
	}
	return is&one == two
}

// genValue prefers values that sit at the edges of the halves.
func genValue(wide bool) *rapid.Generator[uint64] {
	edge := []uint64{0, 1, 2, 3, 5, 0x7fffffff, 0x80000000, 0xffffffff}
	if wide {
		edge = append(edge, 1<<32, 1<<32|1, 1<<33, 1<<33-1, math.MaxInt64, math.MaxUint64, math.MaxUint64-1)
	}
	return rapid.SampledFrom(edge)
}

func genAction() *rapid.Generator[specs.LinuxSeccompAction] {
	return rapid.SampledFrom([]specs.LinuxSeccompAction{
		specs.ActKill, specs.ActKillThread, specs.ActKillProcess, specs.ActTrap, specs.ActErrno, specs.ActErrno, specs.ActTrace, specs.ActAllow, specs.ActAllow, specs.ActLog,
	})
}

func genErrno(t *rapid.T, a specs.LinuxSeccompAction) *uint {
	if (a != specs.ActErrno && a != specs.ActTrace) || rapid.Bool().Draw(t, "no errno") {
		return nil
	}
	n := rapid.UintRange(0, 4095).Draw(t, "errno")
	return &n
}

var someNames = []string{
	"read", "write", "open", "openat", "clone", "clone3", "socket", "connect", "send", "recv", "socketcall", "ipc", "semop", "shmat",
	"personality", "ptrace", "mmap", "mmap2", "exit", "execveat", "set_tls", "cacheflush", "arch_prctl", "open_tree_attr", "no_such_call", "",
}

func genRule(t *rapid.T) specs.LinuxSyscall {
	action := genAction().Draw(t, "action")
	return specs.LinuxSyscall{
		Names:    rapid.SliceOfN(rapid.SampledFrom(someNames), 1, 4).Draw(t, "names"),
		Action:   action,
		ErrnoRet: genErrno(t, action),
		Args: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) specs.LinuxSeccompArg {
			return specs.LinuxSeccompArg{
				Index: rapid.UintRange(0, 5).Draw(t, "index"), Op: rapid.SampledFrom(operators).Draw(t, "op"),
				Value: genValue(true).Draw(t, "value"), ValueTwo: genValue(true).Draw(t, "second"),
			}
		}), 0, 4).Draw(t, "args"),
	}
}

func genProfile(t *rapid.T) *specs.LinuxSeccomp {
	s := &specs.LinuxSeccomp{DefaultAction: genAction().Draw(t, "default")}
	s.DefaultErrnoRet = genErrno(t, s.DefaultAction)
	s.Architectures = rapid.SliceOfDistinct(rapid.SampledFrom([]specs.Arch{specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64}),
		func(a specs.Arch) specs.Arch { return a }).Draw(t, "architectures")
	s.Syscalls = rapid.SliceOfN(rapid.Custom(genRule), 0, 12).Draw(t, "rules")
	return s
}

func genCall(t *rapid.T, v view) call {
	numbers := rapid.OneOf(
		rapid.Map(rapid.SampledFrom(someNames), func(name string) uint32 { return uint32(v.table.SyscallNames[name]) }),
		rapid.Uint32Range(0, 600),
		rapid.SampledFrom([]uint32{0xf0000, 0xf0001, 0xf0005, 0xf0006, 0xf0007, 0x3fffffff}),
	)
	c := call{nr: v.base + numbers.Draw(t, "number"), audit: v.audit}
	for i := range c.args {
		c.args[i] = genValue(v.wide).Draw(t, "argument")
	}
	return c
}

func TestFilterAgreesWithProfile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genProfile(t)
		for _, goarch := range []string{"amd64", "arm64"} {
			f, err := compileFor(goarch, s)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range views {
				if v.goarch == goarch {
					compareSome(t, s, f, v)
				}
			}
		}
	})
}

func compareSome(t *rapid.T, s *specs.LinuxSeccomp, f *Filter, v view) {
	for range 20 {
		c := genCall(t, v)
		got, _, err := run(f.Prog, c)
		if err != nil {
			t.Fatal(err)
		}
		if want := judge(s, v, c); got != want {
			t.Fatalf("%s: call %#x %v: the filter says %#x, the profile %#x", v.arch, c.nr, c.args, got, want)
		}
	}
}

// Every number under the default profile, not just drawn ones.
func TestDefaultProfileEveryNumber(t *testing.T) {
	s, err := profiles.Default([]string{"CAP_CHOWN", "CAP_NET_RAW"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	var steps, calls int
	for _, v := range views {
		if v.table != native(t) && (v.goarch != goarchOf(t) || !slices.Contains(s.Architectures, v.arch)) {
			continue
		}
		for nr := range uint32(1100) {
			c := call{nr: v.base + nr, audit: v.audit, args: [6]uint64{2, 0, 0, 0, 0, 0}}
			got, n, err := run(f.Prog, c)
			if err != nil {
				t.Fatal(err)
			}
			if want := judge(s, v, c); got != want {
				t.Errorf("%s: call %d: the filter says %#x, the profile %#x", v.arch, nr, got, want)
			}
			if nr < 460 && v.table == native(t) {
				steps, calls = steps+n, calls+1
			}
		}
	}
	average := float64(steps) / float64(calls)
	t.Logf("%d instructions, %.1f run for a call on average", len(f.Prog), average)
	if average > 16 {
		t.Errorf("a call runs %.1f instructions on average", average)
	}
}

func TestForeignABIsAreKilled(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64}}
	f, err := compileFor("amd64", s)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []call{
		{nr: 1, audit: 0x40000003}, {nr: 0x40000001, audit: 0xc000003e}, {nr: 0xfffffffe, audit: 0xc000003e}, {nr: 1, audit: 0xc00000b7},
	} {
		if got, _, _ := run(f.Prog, c); got != 0x80000000 {
			t.Errorf("%+v: %#x", c, got)
		}
	}
	if got, _, _ := run(f.Prog, call{nr: math.MaxUint32, audit: 0xc000003e}); got != 0x7fff0000 {
		t.Errorf("syscall(-1): %#x", got)
	}
}

func TestCompileErrors(t *testing.T) {
	big, one := uint(4096), uint(1)
	rule := func(r specs.LinuxSyscall) *specs.LinuxSeccomp {
		r.Names = []string{"read"}
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{r}}
	}
	arg := func(a specs.LinuxSeccompArg) *specs.LinuxSeccomp {
		return rule(specs.LinuxSyscall{Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{a}})
	}
	for name, s := range map[string]*specs.LinuxSeccomp{
		"none":         nil,
		"empty":        {},
		"notify":       rule(specs.LinuxSyscall{Action: specs.ActNotify}),
		"listener":     {DefaultAction: specs.ActAllow, ListenerPath: "/run/x"},
		"action":       rule(specs.LinuxSyscall{Action: "SCMP_ACT_JUMP"}),
		"errno":        rule(specs.LinuxSyscall{Action: specs.ActErrno, ErrnoRet: &big}),
		"errno alone":  rule(specs.LinuxSyscall{Action: specs.ActKill, ErrnoRet: &one}),
		"index":        arg(specs.LinuxSeccompArg{Index: 6, Op: specs.OpEqualTo}),
		"operator":     arg(specs.LinuxSeccompArg{Op: "SCMP_CMP_ALMOST"}),
		"architecture": {DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"SCMP_ARCH_PDP11"}},
		"flag":         {DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"X"}},
		"wait":         {DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}},
	} {
		if f, err := compileFor("amd64", s); err == nil {
			t.Errorf("%s: no error, %d instructions", name, len(f.Prog))
		}
	}
	if _, err := compileFor("riscv64", rule(specs.LinuxSyscall{Action: specs.ActErrno})); err == nil {
		t.Error("an unknown machine: no error")
	}
}

func TestTooLongProfileIsAnError(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	for i := range 2000 {
		s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{
			Names: []string{"ioctl"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 1, Value: uint64(i), Op: specs.OpEqualTo}},
		})
	}
	if _, err := Compile(s); err == nil {
		t.Error("no error")
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		names []specs.LinuxSeccompFlag
		want  uint
	}{
		{nil, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW},
		{[]specs.LinuxSeccompFlag{}, 0},
		{[]specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog}, unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_LOG},
	} {
		f, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: c.names})
		if err != nil || f.Flags != c.want {
			t.Errorf("%v: %#x, %v", c.names, f.Flags, err)
		}
	}
}

// Equal profiles give equal filters, so that one may be kept for many.
func TestCompileIsDeterministic(t *testing.T) {
	s, err := profiles.Default(nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again, err := Compile(s); err != nil || !slices.Equal(first.Prog, again.Prog) {
			t.Fatalf("two filters of one profile differ: %v", err)
		}
	}
}

func BenchmarkCompileDefault(b *testing.B) {
	s, err := profiles.Default(nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Compile(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDefault(b *testing.B) {
	for b.Loop() {
		if _, err := profiles.Default(nil); err != nil {
			b.Fatal(err)
		}
	}
}
