package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const sixNamespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// child is a clone of this process that waits for one byte, makes its detached
// mount the root, and executes.
type child struct {
	pid, pidfd int
	gate       *os.File // one byte: go on
	fate       *os.File // the number of what failed; the end of file by execve
}

// Descriptors as the child numbers them; all others it closes.
const (
	fdGate = 200 + iota
	fdFate
	fdTree
)

// cloneChild forks into six new namespaces, and into a v2 cgroup unless group is -1.
func cloneChild(tree int, mark string, group int) (*child, error) {
	gateIn, gate, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer gateIn.Close()
	fate, fateIn, err := os.Pipe()
	if err != nil {
		gate.Close()
		return nil, err
	}
	defer fateIn.Close()
	kid := &child{gate: gate, fate: fate, pidfd: -1}
	p, err := program("/bin/sleep", mark)
	if err != nil {
		return nil, errors.Join(err, kid.close())
	}
	p.gate, p.fate, p.tree = gateIn.Fd(), fateIn.Fd(), uintptr(tree)
	if err := kid.fork(p, group); err != nil {
		return nil, errors.Join(err, kid.close())
	}
	return kid, nil
}

func (k *child) fork(p *clonedProgram, group int) error {
	pidfd := new(int32)
	args := cloneArgs{
		flags: sixNamespaces | unix.CLONE_PIDFD, exitSignal: uint64(unix.SIGCHLD),
		pidfd: uint64(uintptr(unsafe.Pointer(pidfd))),
	}
	if group >= 0 {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.cgroup = uint64(group)
		defer unix.Close(group)
	}
	pid, errno := cloneAndExec(&args, p)
	runtime.KeepAlive(pidfd)
	if errno != 0 {
		return fmt.Errorf("cannot clone: %w", errno)
	}
	k.pid, k.pidfd = int(pid), int(*pidfd)
	return nil
}

func (k *child) close() error {
	if k.pidfd >= 0 {
		unix.Close(k.pidfd)
	}
	return errors.Join(k.gate.Close(), k.fate.Close())
}

// goAndExec lets the child go on and waits until its program runs.
func (k *child) goAndExec() error {
	if _, err := k.gate.Write([]byte{1}); err != nil {
		return err
	}
	var b [8]byte
	if n, _ := k.fate.Read(b[:]); n > 0 {
		return fmt.Errorf("child failed at step %d: %w", b[0], syscall.Errno(b[1]))
	}
	return nil
}

// mapIDs gives the child's user namespace 65536 ids of nobody.
func mapIDs(pid int) error {
	line := []byte("0 " + strconv.Itoa(firstID) + " 65536\n")
	for _, name := range []string{"uid_map", "gid_map"} {
		if err := os.WriteFile("/proc/"+strconv.Itoa(pid)+"/"+name, line, 0); err != nil {
			return err
		}
	}
	return nil
}

// firstID is far above what a host's tools hand out as subordinate ids.
const firstID = 3000000000

// cloneArgs is struct clone_args of linux/sched.h.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal uint64
	stack, stackSize, tls                         uint64
	setTID, setTIDSize, cgroup                    uint64
}

// clonedProgram is all that the child needs, as the kernel takes it: between clone
// and execve it may not allocate.
type clonedProgram struct {
	path, empty, dot, slash *byte
	argv, envv              []*byte
	gate, fate, tree        uintptr
	buf                     [8]byte
}

func program(path string, args ...string) (*clonedProgram, error) {
	argv, err := syscall.SlicePtrFromStrings(append([]string{path}, args...))
	if err != nil {
		return nil, err
	}
	envv, err := syscall.SlicePtrFromStrings([]string{"PATH=/usr/bin:/bin"})
	if err != nil {
		return nil, err
	}
	p := &clonedProgram{argv: argv, envv: envv, path: argv[0]}
	for text, to := range map[string]**byte{"": &p.empty, ".": &p.dot, "/": &p.slash} {
		if *to, err = syscall.BytePtrFromString(text); err != nil {
			return nil, err
		}
	}
	return p, nil
}
