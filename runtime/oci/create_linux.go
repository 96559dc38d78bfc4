package oci

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native"
)

// creation are the flags of create and run.
type creation struct {
	bundle, console, pidFile, pidfdSocket string
	noPivot, keepKeyring                  bool
	preserve                              int
}

func (o *creation) flags(f *flag.FlagSet) {
	f.StringVar(&o.bundle, "bundle", "", "`directory` with config.json; the current one if not given")
	alias(f, "b", "bundle")
	f.StringVar(&o.console, "console-socket", "", "unix `socket` that receives the terminal's master")
	f.StringVar(&o.pidfdSocket, "pidfd-socket", "", "unix `socket` that receives a pidfd of the first process")
	f.StringVar(&o.pidFile, "pid-file", "", "`file` to write the first process's pid to")
	f.BoolVar(&o.noPivot, "no-pivot", false, "for hosts that run from their initramfs")
	f.BoolVar(&o.keepKeyring, "no-new-keyring", false, "share the caller's session keyring")
	f.IntVar(&o.preserve, "preserve-fds", 0, "`number` of further descriptors to pass on")
}

func create(c *call, f *flag.FlagSet, args []string) error {
	var o creation
	o.flags(f)
	b, err := o.parse(f, args)
	if err != nil {
		return err
	}
	if err := checkTerminal(b.Spec.Process.Terminal, true, o.console); err != nil {
		return err
	}
	created, err := c.make(o, b)
	if err != nil {
		return err
	}
	created.PidFD.Close()
	return nil
}

// defaultCgroup begins the cgroups of containers that name none. There is no parent
// to be made and removed with each in every hierarchy: that took a millisecond.
const defaultCgroup = "/stack-oci."

// parse reads the command line, after flags has set it up, and the bundle.
func (o *creation) parse(f *flag.FlagSet, args []string) (runtime.Bundle, error) {
	id, err := parseID(f, args)
	if err != nil {
		return runtime.Bundle{}, err
	}
	return o.load(id)
}

// load reads the bundle and stays in its directory, so that relative sources of
// mounts are meant from there.
func (o *creation) load(id string) (runtime.Bundle, error) {
	dir, err := filepath.Abs(o.bundle)
	if err == nil {
		err = os.Chdir(dir)
	}
	if err != nil {
		return runtime.Bundle{}, fmt.Errorf("cannot use the bundle: %w", err)
	}
	spec, err := loadBundle(dir)
	if err != nil {
		return runtime.Bundle{}, err
	}
	if spec.Linux.CgroupsPath == "" {
		spec.Linux.CgroupsPath = defaultCgroup + id
	}
	b := runtime.Bundle{ID: id, Spec: spec, Directory: dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	preserve, err := activation(o.preserve, &spec.Process.Env)
	if err == nil {
		b.ExtraFiles, err = inherited(preserve)
	}
	return b, err
}

// activation adds the sockets of sd_listen_fds(3) to the descriptors to preserve.
func activation(preserve int, env *[]string) (int, error) {
	value := os.Getenv("LISTEN_FDS")
	if value == "" {
		return preserve, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("cannot read LISTEN_FDS=%q", value)
	}
	*env = append(*env, "LISTEN_FDS="+value, "LISTEN_PID=1")
	return preserve + n, nil
}

// maxPreserved bounds --preserve-fds.
const maxPreserved = 1 << 10

// inherited are descriptors 3 to 2+n.
func inherited(n int) ([]*os.File, error) {
	if n < 0 || n > maxPreserved {
		return nil, fmt.Errorf("cannot preserve %d descriptors", n)
	}
	var files []*os.File
	for fd := 3; fd < 3+n; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC != 0 { // it came after our execve(2): it is our own
			err = unix.EBADF
		}
		if err != nil {
			return nil, fmt.Errorf("cannot preserve descriptor %d: %w", fd, err)
		}
		unix.CloseOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), "preserved"))
	}
	return files, nil
}

// make creates the container and does what has to be done before it may start:
// its terminal goes to the console socket, its pid to the file. When that fails
// the container is taken back.
func (c *call) make(o creation, b runtime.Bundle) (runtime.Created, error) {
	ctx := context.Background()
	rt := native.New(native.Options{Root: c.global.root, NoPivot: o.noPivot, SharedKeyring: o.keepKeyring, OneThread: true})
	c.made = rt
	created, err := rt.Create(ctx, b)
	if err != nil {
		return created, explain(b.ID, err)
	}
	for _, text := range created.Warnings {
		c.warn(text)
	}
	if err := o.hand(&created); err != nil {
		created.PidFD.Close()
		return created, errors.Join(err, rt.Delete(ctx, b.ID, true))
	}
	return created, nil
}

// hand gives away what the caller asked for.
func (o *creation) hand(created *runtime.Created) error {
	if created.Console != nil && o.console != "" {
		err := sendFile(o.console, created.Console)
		created.Console.Close()
		created.Console = nil
		if err != nil {
			return fmt.Errorf("cannot hand over the terminal: %w", err)
		}
	}
	if o.pidfdSocket != "" {
		if err := sendFile(o.pidfdSocket, created.PidFD); err != nil {
			return fmt.Errorf("cannot hand over the pidfd: %w", err)
		}
	}
	return writePid(o.pidFile, created.Pid)
}

// writePid writes a pid file at once: a reader sees nothing or all of it.
func writePid(name string, pid int) error {
	if name == "" {
		return nil
	}
	hidden := filepath.Join(filepath.Dir(name), fmt.Sprintf(".%s.%d", filepath.Base(name), os.Getpid()))
	f, err := os.OpenFile(hidden, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_TRUNC, 0o666)
	if err != nil {
		return fmt.Errorf("cannot write the pid file: %w", err)
	}
	_, err = f.WriteString(strconv.Itoa(pid))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(hidden, name)
	}
	if err != nil {
		os.Remove(hidden)
		return fmt.Errorf("cannot write the pid file: %w", err)
	}
	return nil
}
