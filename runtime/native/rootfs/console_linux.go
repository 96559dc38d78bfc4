package rootfs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// attachConsole opens a terminal on the container's devpts and binds the
// container's side at /dev/console.
func (b *builder) attachConsole() error {
	if !b.setup.Terminal {
		return nil
	}
	if b.pts < 0 {
		return errors.New("cannot make a terminal: no devpts is mounted at /dev/pts")
	}
	master, err := openat(b.pts, "ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("cannot open a terminal: %w", err)
	}
	b.result.Console = os.NewFile(uintptr(master), "/dev/ptmx")
	peer, err := openPeer(master)
	if err != nil {
		return err
	}
	b.result.ConsolePeer = os.NewFile(uintptr(peer), "/dev/console")
	if err := b.checkPeer(peer); err != nil {
		return fmt.Errorf("cannot trust the terminal: %w", err)
	}
	if err := b.ownConsole(master, peer); err != nil {
		return err
	}
	return b.bindConsole(peer)
}

// openPeer gets the other side from the kernel, without a path.
func openPeer(master int) (int, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return -1, fmt.Errorf("cannot unlock the terminal: %w", err)
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER,
		unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, fmt.Errorf("cannot open the terminal's peer: %w", errno)
	}
	return int(peer), nil
}

// checkPeer verifies that the peer is a terminal on the container's devpts.
func (b *builder) checkPeer(peer int) error {
	kind, err := filesystemType(peer)
	if err != nil {
		return err
	}
	var st, top unix.Stat_t
	if err := errors.Join(unix.Fstat(peer, &st), unix.Fstat(b.pts, &top)); err != nil {
		return err
	}
	major := unix.Major(st.Rdev)
	if kind != unix.DEVPTS_SUPER_MAGIC || st.Dev != top.Dev || st.Mode&unix.S_IFMT != unix.S_IFCHR || major < 136 || major > 143 {
		return errors.New("the peer is no pseudo terminal of the container's devpts")
	}
	if _, err := unix.IoctlGetTermios(peer, unix.TCGETS); err != nil {
		return fmt.Errorf("the peer is no terminal: %w", err)
	}
	return nil
}

// ownConsole hands the terminal to the container's user and sets its size. The
// group stays what devpts gives, tty.
func (b *builder) ownConsole(master, peer int) error {
	uid, err := b.hostUID(b.setup.User.UID)
	if err != nil {
		return fmt.Errorf("cannot hand over the terminal: %w", err)
	}
	if err := unix.Fchown(peer, int(uid), -1); err != nil {
		return fmt.Errorf("cannot hand over the terminal: %w", err)
	}
	if size := b.setup.ConsoleSize; size != nil {
		ws := unix.Winsize{Row: uint16(size.Height), Col: uint16(size.Width)}
		if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &ws); err != nil {
			return fmt.Errorf("cannot set the terminal's size: %w", err)
		}
	}
	return nil
}

func (b *builder) bindConsole(peer int) error {
	fd, err := b.keep(cloneTree(peer, "", false))
	if err != nil {
		return fmt.Errorf("cannot bind the terminal: %w", err)
	}
	return b.place(fd, "/dev/console", false)
}
