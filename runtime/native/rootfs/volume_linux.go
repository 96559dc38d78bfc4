package rootfs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Mount makes a file system with options in the words of mount(8). It is attached
// nowhere and goes with the last descriptor of it.
func Mount(kind, device string, options []string) (*os.File, error) {
	o := parseOptions(options)
	fs := newFilesystem(kind)
	fs.set("source", device)
	if o.top.set&unix.MOUNT_ATTR_RDONLY != 0 {
		fs.flag("ro")
	}
	setData(fs, o.data)
	fd, err := fs.mount(o.flags() | unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return nil, fmt.Errorf("cannot mount %s of type %s: %w", device, kind, err)
	}
	return os.NewFile(uintptr(fd), device), nil
}

// Supports says whether this machine's kernel knows a file system; its module is
// loaded if need be.
func Supports(kind string) error {
	fs := newFilesystem(kind)
	if fs.fd >= 0 {
		unix.Close(fs.fd)
	}
	return fs.err
}
