package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hypervisor is a running QEMU.
type hypervisor struct {
	cmd     *exec.Cmd
	port    *os.File // our end
	console tail
	said    tail // on its own error output
	reading sync.WaitGroup
	ended   chan struct{} // closed when it was waited for
	err     error
}

// start runs QEMU with one socket to the guest's port, one to its console, and the
// taps.
func start(c Config) (*hypervisor, error) {
	h := &hypervisor{ended: make(chan struct{})}
	port, theirPort, err := socketPair("port")
	if err != nil {
		return nil, err
	}
	defer theirPort.Close()
	console, theirConsole, err := socketPair("console")
	if err != nil {
		return nil, err
	}
	defer theirConsole.Close()
	files := []*os.File{theirPort, theirConsole}
	args := c.Command[1:]
	for n, i := range c.Machine.Interfaces {
		tap, err := openTap(i.Tap)
		if err != nil {
			return nil, err
		}
		defer tap.Close()
		files = append(files, tap)
		args = append(args,
			"-netdev", fmt.Sprintf("tap,id=net%d,fd=%d", n, FirstTapFD+n),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=net%d,mac=%s,romfile=", n, i.MAC))
	}
	h.port = port
	h.cmd = exec.Command(c.Command[0], args...)
	h.cmd.Env = []string{"PATH=/usr/bin:/bin", "TMPDIR=/tmp"}
	h.cmd.ExtraFiles = files
	h.cmd.Stderr = &h.said
	h.reading.Go(func() { io.Copy(&h.console, console) })
	if err := h.launch(); err != nil {
		return nil, fmt.Errorf("cannot start the hypervisor: %w", err)
	}
	go func() {
		h.err = h.cmd.Wait()
		theirs := time.AfterFunc(time.Second, func() { console.Close() })
		h.reading.Wait()
		theirs.Stop()
		close(h.ended)
	}()
	return h, nil
}

// launch forks on a thread that has given up what QEMU need not have.
func (h *hypervisor) launch() error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and is never used again
		for _, c := range []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SETPCAP} {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
				done <- fmt.Errorf("cannot give up capabilities: %w", err)
				return
			}
		}
		done <- h.cmd.Start()
	}()
	return <-done
}

func socketPair(name string) (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}

// openTap opens the host's end of an interface.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open /dev/net/tun: %w", err)
	}
	r, err := unix.NewIfreq(name)
	if err == nil {
		r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot open tap %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// powerTime is how long a guest may take to power off after its program has ended.
// Its disk is unmounted by then.
const powerTime = 3 * time.Second

// powerOff waits for the guest to do so, and ends the machine of one that does not.
func (h *hypervisor) powerOff() {
	select {
	case <-h.ended:
	case <-time.After(powerTime):
		h.kill()
	}
}

func (h *hypervisor) kill() {
	h.cmd.Process.Kill()
	<-h.ended
}

// explain tells why QEMU ended; nil if it did not, within a moment.
func (h *hypervisor) explain() error {
	select {
	case <-h.ended:
	case <-time.After(time.Second):
		return nil
	}
	if line := h.console.line("Kernel panic"); line != "" {
		return fmt.Errorf("the machine's kernel ended: %s%s", line, h.lastWords())
	}
	if h.err != nil {
		return fmt.Errorf("the hypervisor ended: %w%s", h.err, h.lastWords())
	}
	return errors.New("the machine powered off by itself" + h.lastWords())
}

// code is the exit code of a machine that the hypervisor's end ended.
func (h *hypervisor) code() int {
	select {
	case <-h.ended:
	default:
		return exitFailure
	}
	if ws, ok := h.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return exitFailure
}

// lastWords are what hypervisor and guest said at last, to be appended to a message.
func (h *hypervisor) lastWords() string {
	text := strings.TrimSpace(h.said.text() + "\n" + h.console.text())
	if text == "" {
		return ""
	}
	return "\n" + text
}

// tail keeps the end of what is written.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const (
	tailSize  = 16 << 10
	tailLines = 20
)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// text is the last lines, without what would steer a terminal.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.buf)), "\n")
	text := strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

// line is the first line that contains a text.
func (t *tail) line(part string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range bytes.Lines(t.buf) {
		if bytes.Contains(line, []byte(part)) {
			return strings.TrimSpace(string(line))
		}
	}
	return ""
}
