package native

import (
	"encoding/binary"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

// program is the user's process as the stub has to make it.
type program struct {
	*specs.Process
	filter *filter
	limits []limit
	caps   capabilities
	tuning tuning
	// hooks are those of startContainer, hookState is their input.
	hooks     []specs.Hook
	hookState []byte
}

// resources sets, with the host's privileges, what a user namespace may not:
// raised hard limits and the OOM score. The creator checks the latter.
func (b *builder) resources(p program) {
	b.affinity(p.tuning.first)
	for _, l := range p.limits {
		if l.raised != nil {
			b.prlimit(l.resource, l.raised.Cur, l.raised.Max)
		}
	}
	if p.OOMScoreAdj == nil {
		return
	}
	const do = "set the OOM score"
	fd, value := b.Slot(), strconv.Itoa(*p.OOMScoreAdj)
	skip := b.Label()
	b.Call(do, unix.SYS_OPENAT, cwd, b.String("/proc/self/oom_score_adj"), stub.Int(unix.O_WRONLY|unix.O_CLOEXEC)).
		Into(fd).AllowAny().Else(skip)
	b.Call(do, unix.SYS_WRITE, fd, b.String(value), stub.Int(len(value))).AllowAny()
	b.Call(do, unix.SYS_CLOSE, fd)
	b.Place(skip)
}

func (b *builder) prlimit(resource int, soft, hard uint64) {
	b.Call("set resource limits", unix.SYS_PRLIMIT64, stub.Int(0), stub.Int(resource), b.Words(soft, hard), stub.Int(0))
}

// run ends every script: from root of the container to the user's program.
// Between dropping privileges and execve(2) the process stays non-dumpable.
func (b *builder) run(p program, init bool) {
	denied := b.changeDirectory(p.Cwd)
	b.tune(p.tuning)
	b.bound(p.caps)
	if !p.NoNewPrivileges { // needs a capability that goes next
		b.seccomp(p.filter)
	}
	b.umask(p.User)
	for _, l := range p.limits {
		b.prlimit(l.resource, l.soft, l.max)
	}
	b.become(p.User)
	b.changeDirectoryAgain(p.Cwd, denied)
	b.limitCapabilities(p.caps)
	if p.NoNewPrivileges {
		b.prctl("set no_new_privs", unix.PR_SET_NO_NEW_PRIVS, stub.Int(1))
		b.seccomp(p.filter)
	}
	b.startHooks(p.hooks, p.hookState)
	if init {
		b.reaper(p.Terminal)
	}
	b.execute(p.Process)
}

// makeDirectory makes the working directory when it is absent, as root; whether
// that worked shows when it is changed to.
func (b *builder) makeDirectory(dir string) {
	var at string
	for _, part := range strings.Split(strings.Trim(path.Clean(dir), "/"), "/") {
		if part == "" {
			continue
		}
		at += "/" + part
		b.Call("make the working directory", unix.SYS_MKDIRAT, cwd, b.String(at), stub.Int(0o755)).AllowAny()
	}
}

// changeDirectory changes to dir as root. The result is not zero when root was
// refused, as it may be on a network file system.
func (b *builder) changeDirectory(dir string) stub.Slot {
	denied, done := b.Slot(), b.Label()
	b.Call(changeTo(dir), unix.SYS_CHDIR, b.String(dir)).Into(denied).Allow(unix.EACCES, unix.EPERM).Else(done)
	b.checkDirectory(dir)
	b.Place(done)
	return denied
}

// changeDirectoryAgain repeats that as the user if root was refused.
func (b *builder) changeDirectoryAgain(dir string, denied stub.Slot) {
	done := b.Label()
	b.If(denied, stub.Int(0), done)
	b.Call(changeTo(dir), unix.SYS_CHDIR, b.String(dir))
	b.checkDirectory(dir)
	b.Place(done)
}

func changeTo(dir string) string { return fmt.Sprintf("change directory to %q", dir) }

// checkDirectory fails unless the working directory lies below the root: the
// kernel shows one that does not as "(unreachable)…" (CVE-2024-21626).
func (b *builder) checkDirectory(dir string) {
	const size = unix.PathMax
	buf, inside := b.Bytes(make([]byte, size)), b.Label()
	b.Call(changeTo(dir), unix.SYS_GETCWD, buf, stub.Int(size))
	b.IfBits(stub.Slot(buf), 0, 0xff, stub.Int('/'), inside)
	b.Fail(changeTo(dir), stub.Int(-int64(unix.EXDEV)), 1)
	b.Place(inside)
}

// bound drops capabilities from the bounding set.
func (b *builder) bound(c capabilities) {
	for n := range c.last + 1 {
		if c.bounding&(1<<n) == 0 {
			b.prctl("limit the bounding set", unix.PR_CAPBSET_DROP, stub.Int(n))
		}
	}
}

func (b *builder) umask(u specs.User) {
	mask := uint32(0o022)
	if u.Umask != nil {
		mask = *u.Umask
	}
	b.Call("set the umask", unix.SYS_UMASK, stub.Int(mask&0o777))
}

// become takes the user's ids and keeps the capabilities for limitCapabilities.
func (b *builder) become(u specs.User) {
	do := fmt.Sprintf("become user %d:%d", u.UID, u.GID)
	groups := make([]byte, 0, 4*len(u.AdditionalGids))
	for _, g := range u.AdditionalGids {
		groups = binary.LittleEndian.AppendUint32(groups, g)
	}
	b.prctl(do, unix.PR_SET_KEEPCAPS, stub.Int(1))
	b.Call(do, unix.SYS_SETGROUPS, stub.Int(len(u.AdditionalGids)), b.Bytes(groups))
	b.Call(do, unix.SYS_SETRESGID, stub.Int(u.GID), stub.Int(u.GID), stub.Int(u.GID))
	b.Call(do, unix.SYS_SETRESUID, stub.Int(u.UID), stub.Int(u.UID), stub.Int(u.UID))
	b.prctl(do, unix.PR_SET_KEEPCAPS, stub.Int(0))
	b.hide()
}

func (b *builder) limitCapabilities(c capabilities) {
	le := binary.LittleEndian
	header := le.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	header = le.AppendUint32(header, 0)
	var data []byte
	for _, shift := range []uint{0, 32} {
		for _, set := range []uint64{c.effective, c.permitted, c.inheritable} {
			data = le.AppendUint32(data, uint32(set>>shift))
		}
	}
	b.Call("set capabilities", unix.SYS_CAPSET, b.Bytes(header), b.Bytes(data))
	const do = "set ambient capabilities"
	b.prctl(do, unix.PR_CAP_AMBIENT, stub.Int(unix.PR_CAP_AMBIENT_CLEAR_ALL))
	for n := range c.last + 1 {
		if c.ambient&(1<<n) != 0 {
			b.prctl(do, unix.PR_CAP_AMBIENT, stub.Int(unix.PR_CAP_AMBIENT_RAISE), stub.Int(n))
		}
	}
}

func (b *builder) seccomp(f *filter) {
	if f == nil {
		return
	}
	const setModeFilter = 1
	prog := b.Words(uint64(len(f.Program)/8), uint64(b.Bytes(f.Program))) // struct sock_fprog
	b.Call("install the seccomp filter", unix.SYS_SECCOMP, stub.Int(setModeFilter), stub.Int(f.Flags), prog)
}
