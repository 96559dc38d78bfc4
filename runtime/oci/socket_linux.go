package oci

import (
	"os"

	"golang.org/x/sys/unix"
)

// sendFile passes a descriptor over the unix socket at path (SCM_RIGHTS), with its
// name as the data, as runc and containerd's console sockets do.
func sendFile(path string, f *os.File) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return &os.PathError{Op: "connect", Path: path, Err: err}
	}
	return unix.Sendmsg(fd, []byte(f.Name()), unix.UnixRights(int(f.Fd())), nil, unix.MSG_NOSIGNAL)
}
