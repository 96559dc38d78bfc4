package native

import (
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

// The descriptors the first process is born with, beside 0, 1 and 2, and above
// those of Bundle.ExtraFiles.
const (
	controlFD = 3 // its end of the handshake
	listenFD  = 4 // start.sock
	userFD    = 5 // user namespace to join, or /dev/null
	cgroupFD  = 6 // v2 cgroup, or /dev/null
	firstFree = 7
)

// creation is what the script of a first process depends on.
type creation struct {
	spec                  *specs.Spec
	program               program
	fresh                 uintptr  // namespaces to make
	own                   uintptr  // namespaces that are not the creator's
	joinUser              bool     // userFD is a user namespace
	inCgroup              bool     // cgroupFD is a cgroup
	alone                 bool     // see stubProcess
	keyring               bool     // if alone, share the creator's session keyring
	tasks                 []string // if alone, v1 cgroups to enter
	unified               bool     // a mount of type cgroup is cgroup2
	null                  [3]bool  // standard descriptors that nobody gave
	extra                 int      // descriptors between the standard ones and ours
	init                  bool
	noPivot               bool
	timePath, timeOffsets string // of a time namespace to join, of one to make
	sysctls               []sysctl
}

// creationScript is the whole life of a first process until execve(2); doc.go
// draws the handshake.
func creationScript(c creation) *builder {
	b := newBuilder()
	control := stub.Int(controlFD + c.extra)
	b.ReportTo(control)
	b.beginning(controlFD+c.extra, firstFree+c.extra)
	if c.alone {
		b.leaveCreator(c.keyring, c.tasks)
	}
	b.resources(c.program)
	if c.own != c.fresh { // others are in there already
		b.hide()
	}
	cgroup := -1
	if c.inCgroup {
		cgroup = cgroupFD + c.extra
	}
	b.enterTime(c)
	if c.joinUser {
		if c.inCgroup {
			b.enterCgroup(cgroup)
			cgroup = -1 // what is forked is born there
		}
		b.Call("join the user namespace", unix.SYS_SETNS, stub.Int(userFD+c.extra), stub.Int(unix.CLONE_NEWUSER))
		b.becomeRoot()
	}
	b.fork(control, c.fresh, cgroup)

	b.closeRange("close what has been used", userFD+c.extra, uint32(cgroupFD+c.extra), 0)
	b.await(control) // the id maps
	if c.fresh&unix.CLONE_NEWUSER != 0 {
		b.becomeRoot()
	}
	b.hide()
	b.Call("start a session", unix.SYS_SETSID).Allow(unix.EPERM) // of a pid namespace's first process
	if late := c.fresh & lateNamespaces; late != 0 {
		b.Call("make namespaces", unix.SYS_UNSHARE, stub.Int(late))
	}
	b.specialMounts(control, c.spec.Mounts, c.unified)
	proc := b.sysctlMount(c.sysctls)
	b.send(control, msgReady)

	terminal := b.packet(msgGo)
	b.awaitPacket(control, terminal)
	if c.noPivot { // "/" is the old root still, and ".." leads to what covers it
		b.Call("change to the new root", unix.SYS_CHROOT, b.String("/.."))
	}
	b.Call("change to the new root", unix.SYS_CHDIR, b.String("/"))
	if c.program.Terminal {
		b.takeTerminal(stub.Slot(terminal.descriptor()))
	} else {
		b.openNull(c.null)
	}
	b.names(c)
	b.setSysctls(proc, c.sysctls)
	b.Call("set the umask", unix.SYS_UMASK, stub.Int(0o022))
	b.makeDirectory(c.program.Cwd)
	b.send(control, msgCreated)
	b.Call("leave the creator", unix.SYS_CLOSE, control)
	b.awaitStart(stub.Int(listenFD + c.extra))
	b.run(c.program, c.init)
	return b
}

// takeTerminal makes the descriptor the controlling terminal and descriptors 0
// to 2.
func (b *builder) takeTerminal(fd stub.Slot) {
	b.Call("take the terminal", unix.SYS_IOCTL, fd, stub.Int(unix.TIOCSCTTY), stub.Int(0))
	for i := range 3 {
		b.Call("take the terminal", unix.SYS_DUP3, fd, stub.Int(i), stub.Int(0))
	}
	b.Call("take the terminal", unix.SYS_CLOSE, fd)
}

// openNull replaces the host's /dev/null by the container's, if it has one: what the
// program reads and writes there must be the null device, whoever filled /dev.
func (b *builder) openNull(missing [3]bool) {
	const do = "open /dev/null"
	fd, none := b.Slot(), b.Label()
	if missing == [3]bool{} {
		return
	}
	b.Call(do, unix.SYS_OPENAT, cwd, b.String("/dev/null"), stub.Int(unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC)).
		Into(fd).AllowAny().Else(none)
	other := b.Label()
	b.unlessNull(fd, other)
	for i, replace := range missing {
		if replace {
			b.Call(do, unix.SYS_DUP3, fd, stub.Int(i), stub.Int(0))
		}
	}
	b.Place(other)
	b.Call(do, unix.SYS_CLOSE, fd)
	b.Place(none)
}

// unlessNull jumps to l if fd is anything but the null device.
func (b *builder) unlessNull(fd stub.Slot, l stub.Label) {
	var st unix.Stat_t
	buf := b.Bytes(make([]byte, unsafe.Sizeof(st)))
	mode, rdev := stub.Slot(buf+stub.Addr(unsafe.Offsetof(st.Mode))), stub.Slot(buf+stub.Addr(unsafe.Offsetof(st.Rdev)))
	character, null := b.Label(), b.Label()
	b.Call("look at /dev/null", unix.SYS_FSTAT, fd, buf)
	b.IfBits(mode, 0, unix.S_IFMT, stub.Int(unix.S_IFCHR), character)
	b.Jump(l)
	b.Place(character)
	b.If(rdev, stub.Int(unix.Mkdev(1, 3)), null)
	b.Jump(l)
	b.Place(null)
}

func (b *builder) names(c creation) {
	if name := c.spec.Hostname; name != "" {
		b.Call("set the host name", unix.SYS_SETHOSTNAME, b.String(name), stub.Int(len(name)))
	}
	if name := c.spec.Domainname; name != "" {
		b.Call("set the domain name", unix.SYS_SETDOMAINNAME, b.String(name), stub.Int(len(name)))
	}
}

// sysctlMount makes a procfs that nobody else can reach, while the host's is
// still visible: inside a user namespace the kernel allows no new one where all
// others have masked parts.
func (b *builder) sysctlMount(settings []sysctl) stub.Slot {
	if len(settings) == 0 {
		return 0
	}
	const do = "make a mount of type proc for sysctls"
	forbidden, done := b.Label(), b.Label()
	proc := b.detachedMount(do, "proc", []string{"nosuid", "nodev", "noexec"}, forbidden)
	b.Jump(done)
	b.Place(forbidden)
	b.Fail(do, stub.Int(-int64(unix.EPERM)), 1)
	b.Place(done)
	return proc
}

func (b *builder) setSysctls(proc stub.Slot, settings []sysctl) {
	for _, one := range settings {
		do := one.step()
		fd := b.Slot()
		b.Call(do, unix.SYS_OPENAT, proc, b.String("sys/"+one.file), stub.Int(unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC)).Into(fd)
		b.Call(do, unix.SYS_WRITE, fd, b.String(one.value), stub.Int(len(one.value)))
		b.Call(do, unix.SYS_CLOSE, fd)
	}
	if len(settings) > 0 {
		b.Call("finish sysctls", unix.SYS_CLOSE, proc)
	}
}

// awaitStart accepts until somebody sends a byte, and reports to them from then
// on. A starter that dies before that changes nothing.
func (b *builder) awaitStart(listener stub.Int) {
	const do = "wait to be started"
	conn, n := b.Slot(), b.Slot()
	started, hangUp := b.Label(), b.Label()
	again := b.Here()
	b.Call(do, unix.SYS_ACCEPT4, listener, stub.Int(0), stub.Int(0), stub.Int(unix.SOCK_CLOEXEC)).
		Into(conn).Allow(unix.EINTR, unix.ECONNABORTED).Else(again)
	b.Call(do, unix.SYS_READ, conn, b.word, stub.Int(1)).Into(n).AllowAny().Else(hangUp)
	b.If(n, stub.Int(1), started)
	b.Place(hangUp)
	b.Call(do, unix.SYS_CLOSE, conn)
	b.Jump(again)
	b.Place(started)
	b.ReportTo(conn)
	b.Call(do, unix.SYS_CLOSE, listener)
}
