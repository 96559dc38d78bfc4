package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Stdio is a container's FIFOs, opened on both sides. The creator gives the
// container's side to the container and the shim's to Client.Stdio, then closes
// it all.
type Stdio struct {
	// Stdin, Stdout and Stderr become the container's descriptors 0, 1 and 2. A
	// nil Stdin is /dev/null. The outputs are open for reading too, so that a
	// dead reader makes the container wait instead of killing it with SIGPIPE.
	Stdin, Stdout, Stderr *os.File
	// In, Out and Err are the shim's. The input stays open while In or a client's
	// duplicate of it does.
	In, Out, Err *os.File
}

// OpenStdio makes the FIFOs DIR/stdin (if wanted), DIR/stdout and DIR/stderr
// anew, with mode 0600, owned by uid and gid: the host's ids of the container's user,
// who may thus open /dev/stdout.
func OpenStdio(dir string, uid, gid int, stdin bool) (_ *Stdio, err error) {
	s := &Stdio{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if stdin {
		if s.Stdin, s.In, err = openInput(filepath.Join(dir, "stdin"), uid, gid); err != nil {
			return nil, err
		}
	}
	if s.Stdout, s.Out, err = openOutput(filepath.Join(dir, "stdout"), uid, gid); err != nil {
		return nil, err
	}
	if s.Stderr, s.Err, err = openOutput(filepath.Join(dir, "stderr"), uid, gid); err != nil {
		return nil, err
	}
	return s, nil
}

// ReopenStdio opens the shim's sides of FIFOs that OpenStdio made earlier, for
// containers that outlived shim and controller both.
func ReopenStdio(dir string) (_ *Stdio, err error) {
	s := &Stdio{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	s.In, err = openFIFO(filepath.Join(dir, "stdin"), unix.O_WRONLY|unix.O_NONBLOCK)
	// ENXIO: the container has closed its input.
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENXIO) {
		return nil, err
	}
	if s.Out, err = openFIFO(filepath.Join(dir, "stdout"), unix.O_RDONLY|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	s.Err, err = openFIFO(filepath.Join(dir, "stderr"), unix.O_RDONLY|unix.O_NONBLOCK)
	return s, err
}

// CloseContainer closes the container's side, once the container has it:
// before, its end cannot be seen.
func (s *Stdio) CloseContainer() {
	closeFiles(&s.Stdin, &s.Stdout, &s.Stderr)
}

// Close closes everything still open.
func (s *Stdio) Close() {
	s.CloseContainer()
	closeFiles(&s.In, &s.Out, &s.Err)
}

func closeFiles(files ...**os.File) {
	for _, f := range files {
		if *f != nil {
			(*f).Close()
			*f = nil
		}
	}
}

// ends lists the shim's side.
func (s *Stdio) ends() (names []string, files []*os.File) {
	for _, e := range []struct {
		name string
		file *os.File
	}{{"stdin", s.In}, {"stdout", s.Out}, {"stderr", s.Err}} {
		if e.file != nil {
			names, files = append(names, e.name), append(files, e.file)
		}
	}
	return names, files
}

func openOutput(path string, uid, gid int) (container, shim *os.File, err error) {
	if err := makeFIFO(path, uid, gid); err != nil {
		return nil, nil, err
	}
	if container, err = openFIFO(path, unix.O_RDWR); err != nil {
		return nil, nil, err
	}
	shim, err = openFIFO(path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		container.Close()
		return nil, nil, err
	}
	return container, shim, nil
}

// openInput opens both sides through a third, short-lived descriptor: opening
// one side alone waits or fails.
func openInput(path string, uid, gid int) (container, shim *os.File, err error) {
	if err := makeFIFO(path, uid, gid); err != nil {
		return nil, nil, err
	}
	both, err := openFIFO(path, unix.O_RDWR)
	if err != nil {
		return nil, nil, err
	}
	defer both.Close()
	if shim, err = openFIFO(path, unix.O_WRONLY|unix.O_NONBLOCK); err != nil {
		return nil, nil, err
	}
	container, err = openFIFO(path, unix.O_RDONLY)
	if err != nil {
		shim.Close()
		return nil, nil, err
	}
	return container, shim, nil
}

// makeFIFO makes a new FIFO: what an earlier use may still write stays apart.
func makeFIFO(path string, uid, gid int) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return fmt.Errorf("cannot make FIFO %q: %w", path, err)
	}
	if uid == os.Geteuid() && gid == os.Getegid() {
		return nil
	}
	return os.Lchown(path, uid, gid)
}

func openFIFO(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot open %q: not a FIFO", path)
	}
	return os.NewFile(uintptr(fd), path), nil
}
