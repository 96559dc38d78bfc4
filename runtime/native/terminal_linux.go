package native

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// terminal is a pseudo-terminal of the container.
type terminal struct{ master, peer *os.File }

// openTerminal makes a terminal in the container's own devpts, so that its name
// means something there. Everything on the way belongs to the container and is
// not trusted: no link is followed out of its root, and what is opened must be a
// devpts multiplexer.
func (x *executing) openTerminal() (*terminal, error) {
	master, err := x.openMultiplexer()
	if err != nil {
		return nil, fmt.Errorf("cannot make a terminal: %w", err)
	}
	peer, err := x.openPeer(master)
	if err != nil {
		master.Close()
		return nil, fmt.Errorf("cannot make a terminal: %w", err)
	}
	return &terminal{master, peer}, nil
}

func (x *executing) openMultiplexer() (*os.File, error) {
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", x.Pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	if ended(x.init) { // the root may be another process's
		return nil, unix.ESRCH
	}
	fd, err := unix.Openat2(root, "dev/pts/ptmx", &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := checkMultiplexer(fd); err != nil {
		return nil, err
	}
	master, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(master), "/dev/ptmx"), nil
}

func checkMultiplexer(fd int) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if fs.Type != unix.DEVPTS_SUPER_MAGIC || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(5, 2) {
		return fmt.Errorf("the container's /dev/pts/ptmx is something else: %w", unix.ENODEV)
	}
	return nil
}

// openPeer opens the container's end and gives it to the process's user.
func (x *executing) openPeer(master *os.File) (*os.File, error) {
	number, err := rawFD(master)
	if err != nil {
		return nil, err
	}
	fd := int(number)
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	if size := x.Process.ConsoleSize; size != nil {
		window := &unix.Winsize{Row: uint16(size.Height), Col: uint16(size.Width)}
		if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, window); err != nil {
			return nil, err
		}
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, number, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, errno
	}
	f := os.NewFile(peer, "tty")
	if err := f.Chown(int(runtime.HostID(x.Process.User.UID, x.UIDs)), -1); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// pollable turns f into a file with deadlines, as openMultiplexer's are. f is
// closed.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
