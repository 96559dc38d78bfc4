package shim

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary plays every part: tests, shim ("run …", as stack-shim),
// controller. Containers are shells.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "run":
			o, err := ParseArgs(os.Args[2:])
			if err == nil {
				err = Run(o)
			}
			exit(err)
		case "controller":
			exit(controller(os.Args[2]))
		case "hello":
			exit(hello(os.Args[2]))
		case "ensure":
			exit(ensureOnce(os.Args[2]))
		}
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func startOptions(dir string) StartOptions {
	return StartOptions{
		Dir:        dir,
		Shim:       []string{"/proc/self/exe"},
		Controller: []string{"/proc/self/exe", "controller", dir},
		// The race detector would sleep for a second in every exit.
		Env: append(os.Environ(), "GORACE=atexit_sleep_ms=0"),
	}
}

func hello(dir string) error {
	c, err := Dial(dir)
	if err != nil {
		return err
	}
	_, err = c.Hello(context.Background())
	return err
}

func ensureOnce(dir string) error {
	c, err := Ensure(context.Background(), startOptions(dir))
	if err != nil {
		return err
	}
	h, err := c.Hello(context.Background())
	fmt.Println(h.Pid)
	return err
}

// order is what a test asks the test controller through api.sock.
type order struct {
	Do     string // "state", "run", "recover", "serve", "stop", "forget"
	ID     string
	Script string
	// Late adopts only after the process was reaped; Blind without start time.
	Late, Blind bool
	Terminal    bool
	Stdin, Once bool
	Process     Process // recover
}

type report struct {
	Pid       int // of the controller, or of the container
	StartTime uint64
	Addr      string
	Names     []string
	IDs       []string
	Error     string
}

// controller is a miniature of the real one: it makes "containers" that are
// children of the shim, holds a listening socket and revives a dead shim.
func controller(dir string) error {
	ctx := context.Background()
	k, err := NewKeeper(ctx, startOptions(dir))
	if err != nil {
		return err
	}
	api, err := k.Held(APIName)
	if err != nil {
		return err
	}
	if tcp, err := k.Held("tcp"); err == nil {
		go accept(tcp, greet)
	}
	go accept(api, func(c net.Conn) { obey(ctx, k, dir, c) })
	<-k.Dead()
	return k.Revive(ctx)
}

func accept(f *os.File, serve func(net.Conn)) {
	l, err := net.FileListener(f)
	if err != nil {
		return
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go serve(c)
	}
}

func greet(c net.Conn) {
	fmt.Fprintln(c, os.Getpid())
	c.Close()
}

func obey(ctx context.Context, k *Keeper, dir string, c net.Conn) {
	defer c.Close()
	var o order
	if json.NewDecoder(c).Decode(&o) != nil {
		return
	}
	r, err := carryOut(ctx, k, dir, o)
	if err != nil {
		r.Error = err.Error()
	}
	_ = json.NewEncoder(c).Encode(r)
	if o.Do == "stop" {
		os.Exit(0)
	}
}

func carryOut(ctx context.Context, k *Keeper, dir string, o order) (report, error) {
	r := report{Pid: os.Getpid(), Names: k.Names()}
	switch o.Do {
	case "state":
		for _, p := range k.Processes() {
			r.IDs = append(r.IDs, p.ID)
		}
		return r, nil
	case "run":
		return run1(ctx, k, dir, o)
	case "recover":
		s, err := ReopenStdio(containerDir(dir, o.ID))
		if err != nil {
			return r, err
		}
		defer s.Close()
		if err := k.Stdio(ctx, o.ID, logConfig(dir, o), s); err != nil {
			return r, err
		}
		return r, k.Adopt(ctx, o.Process)
	case "serve":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return r, err
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			return r, err
		}
		r.Addr = l.Addr().String()
		go accept(f, greet)
		return r, k.Hold(ctx, "tcp", f)
	case "forget":
		return r, k.Forget(ctx, o.ID)
	case "stop":
		return r, k.Stop(ctx)
	}
	return r, fmt.Errorf("unknown order %q", o.Do)
}

func containerDir(dir, id string) string { return filepath.Join(dir, "containers", id) }
func recordPath(dir, id string) string   { return filepath.Join(containerDir(dir, id), "exit.json") }
func logPath(dir, id string) string      { return filepath.Join(containerDir(dir, id), "log") }

func logConfig(dir string, o order) LogConfig {
	return LogConfig{Path: logPath(dir, o.ID), MaxSize: 1 << 20, MaxFiles: 100, StdinOnce: o.Once}
}

// run1 makes a container.
func run1(ctx context.Context, k *Keeper, dir string, o order) (report, error) {
	if err := os.MkdirAll(containerDir(dir, o.ID), 0o700); err != nil {
		return report{}, err
	}
	files, err := outputs(ctx, k, dir, o)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return report{}, err
	}
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", o.Script}, &syscall.ProcAttr{
		Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/",
		Files: []uintptr{files[0].Fd(), files[1].Fd(), files[2].Fd()},
		Sys:   &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT, Setsid: true, Setctty: o.Terminal},
	})
	if err != nil {
		return report{}, err
	}
	p := Process{ID: o.ID, Pid: pid, Exit: recordPath(dir, o.ID)}
	r := report{Pid: pid}
	if r.StartTime, _ = StartTime(pid); !o.Blind {
		p.StartTime = r.StartTime
	}
	for o.Late && unix.Kill(pid, 0) == nil {
		time.Sleep(time.Millisecond)
	}
	return r, k.Adopt(ctx, p)
}

// outputs makes a container's descriptors and hands the other side to the shim.
func outputs(ctx context.Context, k *Keeper, dir string, o order) ([]*os.File, error) {
	if o.Terminal {
		return terminal(ctx, k, dir, o)
	}
	s, err := OpenStdio(containerDir(dir, o.ID), os.Geteuid(), os.Getegid(), o.Stdin)
	if err != nil {
		return nil, err
	}
	if s.Stdin == nil {
		if s.Stdin, err = os.Open("/dev/null"); err != nil {
			return nil, err
		}
	}
	files := []*os.File{s.Stdin, s.Stdout, s.Stderr}
	err = k.Stdio(ctx, o.ID, logConfig(dir, o), s)
	closeFiles(&s.In, &s.Out, &s.Err)
	return files, err
}

func terminal(ctx context.Context, k *Keeper, dir string, o order) ([]*os.File, error) {
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	master := os.NewFile(uintptr(m), "ptmx")
	defer master.Close()
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	n, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for range 3 {
		f, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, k.Terminal(ctx, o.ID, logConfig(dir, o), master)
}
