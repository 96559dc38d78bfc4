package stub

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// Open returns a descriptor from which image can be executed (/proc/self/fd/N)
// and that nobody can write to: a sealed memfd or, where executing those is
// forbidden (vm.memfd_noexec=2), an unlinked file in the first of dirs whose
// file system allows execution.
func Open(image []byte, dirs ...string) (*os.File, error) {
	f, err := openMemfd(image)
	if err == nil || !errors.Is(err, unix.EACCES) {
		return f, err
	}
	var all error
	for _, dir := range dirs {
		f, err := openUnlinked(image, dir)
		if err == nil {
			return f, nil
		}
		all = errors.Join(all, err)
	}
	return nil, errors.Join(err, all)
}

func openMemfd(image []byte) (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("stack-init", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("stack-init", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot create memfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), "stack-init")
	if _, err := f.Write(image); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot write memfd: %w", err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot seal memfd: %w", err)
	}
	return f, nil
}

// openUnlinked holds the fork lock while a writable descriptor exists: a child
// forked meanwhile would keep it until its execve and ours fail with ETXTBSY.
func openUnlinked(image []byte, dir string) (*os.File, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil, fmt.Errorf("cannot inspect %q: %w", dir, err)
	}
	if fs.Flags&unix.ST_NOEXEC != 0 {
		return nil, fmt.Errorf("cannot execute from %q: %w", dir, unix.EACCES)
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	w, err := os.CreateTemp(dir, ".stack-init-*")
	if err != nil {
		return nil, err
	}
	defer w.Close()
	defer os.Remove(w.Name())
	if _, err := w.Write(image); err != nil {
		return nil, err
	}
	if err := w.Chmod(0o555); err != nil {
		return nil, err
	}
	return os.Open(w.Name())
}
