package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

// firstProcess is a container's first process while it is created.
type firstProcess struct {
	pid      int
	start    uint64
	pidfd    *os.File
	stage1   int // pid of the process that forked it
	mine     bool
	control  *control
	terminal *os.File // to be handed over, or nil
	fate     error    // how it ended, when somebody else killed it

	controlInode, listenInode uint64
}

// forkFirst forks the stub's first stage and waits for its second, which it
// gives its id maps.
func (c *creating) forkFirst(ctx context.Context) (*firstProcess, error) {
	dir, err := c.group.Dir()
	if err != nil {
		return nil, err
	}
	if dir != nil {
		defer dir.Close()
		c.plan.inCgroup = true
	}
	if !c.ns.needThread() {
		c.plan.alone, c.plan.keyring = true, c.runtime.sharedKeyring
		if c.plan.tasks, err = c.group.Tasks(); err != nil {
			return nil, err
		}
	}
	image, table, err := creationScript(c.plan).ELF()
	if err != nil {
		return nil, err
	}
	ours, theirs, err := newControl(table)
	if err != nil {
		return nil, err
	}
	p := &firstProcess{control: ours, mine: !c.runtime.cloneParent}
	if err := c.forkStages(ctx, p, image, theirs, dir); err != nil {
		err = errors.Join(err, p.kill(), p.fate)
		p.close()
		return nil, err
	}
	return p, nil
}

func (c *creating) forkStages(ctx context.Context, p *firstProcess, image []byte, theirs, dir *os.File) (err error) {
	defer theirs.Close()
	if p.controlInode, err = inode(theirs); err != nil {
		return err
	}
	if p.listenInode, err = inode(c.listener); err != nil {
		return err
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	files := append([]*os.File{c.Stdin, c.Stdout, c.Stderr}, c.ExtraFiles...)
	files = append(files, theirs, c.listener, c.ns.user(), dir)
	if c.Spec.Process.Terminal {
		files[0], files[1], files[2] = nil, nil, nil
	}
	for i := range files {
		if files[i] == nil {
			files[i] = null
		}
	}
	stub := stubProcess{
		image: image, dirs: c.stubDirs(), files: files, keyring: c.runtime.sharedKeyring, alone: c.plan.alone,
		prepare: func() error {
			if err := c.group.Enter(); err != nil {
				return err
			}
			return c.ns.enter()
		},
	}
	if c.runtime.cloneParent {
		stub.attr.Cloneflags = unix.CLONE_PARENT
	}
	var first *os.File
	if p.stage1, first, err = stub.fork(); err != nil {
		return err
	}
	defer first.Close()
	theirs.Close() // or its end would not be seen
	err = c.meet(ctx, p)
	if p.pidfd == nil { // stage 1 may still be at work
		signalProcess(first, unix.SIGKILL)
	}
	if p.mine {
		reap(p.stage1)
	}
	return err
}

// stubDirs are where a stub is put that cannot be in memory.
func (c *creating) stubDirs() []string {
	return []string{c.home.Path, os.TempDir(), "/dev/shm", "/var/tmp"}
}

// meet takes over the second stage and maps its ids.
func (c *creating) meet(ctx context.Context, p *firstProcess) (err error) {
	if p.pidfd, err = p.control.expect(ctx, msgForked); err != nil {
		return err
	}
	if p.pidfd == nil {
		return errors.New("the container's first process sent no pidfd")
	}
	if p.pid, err = pidOf(p.pidfd); err != nil {
		return err
	}
	if _, p.start, err = procStat(p.pid); err != nil {
		return err
	}
	if err := c.mapIDs(p.pid); err != nil {
		return err
	}
	if err := p.control.send(ctx, msgMapped, nil); err != nil {
		return p.reason(ctx, err)
	}
	return nil
}

// mapIDs writes the maps of a new user namespace, or reads those of a joined
// one whose specification does not repeat them.
func (c *creating) mapIDs(pid int) error {
	for _, m := range []struct {
		name string
		list *[]specs.LinuxIDMapping
	}{{"gid_map", &c.record.GIDs}, {"uid_map", &c.record.UIDs}} {
		file := fmt.Sprintf("/proc/%d/%s", pid, m.name)
		switch {
		case c.plan.fresh&unix.CLONE_NEWUSER != 0:
			if err := os.WriteFile(file, formatMap(*m.list), 0); err != nil {
				return fmt.Errorf("cannot map ids: %w", err)
			}
		case c.plan.joinUser && len(*m.list) == 0:
			b, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("cannot read the id map of a user namespace: %w", err)
			}
			if *m.list, err = parseMap(string(b)); err != nil {
				return err
			}
		}
	}
	return nil
}

func formatMap(list []specs.LinuxIDMapping) []byte {
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "%d %d %d\n", m.ContainerID, m.HostID, m.Size)
	}
	return []byte(b.String())
}

func parseMap(text string) ([]specs.LinuxIDMapping, error) {
	var list []specs.LinuxIDMapping
	for line := range strings.Lines(text) {
		var m specs.LinuxIDMapping
		if _, err := fmt.Sscan(line, &m.ContainerID, &m.HostID, &m.Size); err != nil {
			return nil, fmt.Errorf("cannot parse id map %q: %w", line, err)
		}
		list = append(list, m)
	}
	return list, nil
}

// ownPipes makes pipes for standard output and the like the user's, or
// /dev/stdout could not be opened by one who is not root. Other files keep their
// owner: they are the caller's.
func ownPipes(uid uint32, maps []specs.LinuxIDMapping, files ...*os.File) error {
	host := runtime.HostID(uid, maps)
	for _, f := range files {
		if f == nil {
			continue
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.Mode()&os.ModeNamedPipe == 0 || info.Sys().(*syscall.Stat_t).Uid == host {
			continue
		}
		if err := f.Chown(int(host), -1); err != nil {
			return fmt.Errorf("cannot give a pipe to the container's user: %w", err)
		}
	}
	return nil
}

// collect takes the special mounts, up to ready.
func (p *firstProcess) collect(ctx context.Context) (map[string]*os.File, error) {
	special := map[string]*os.File{}
	for {
		m, f, err := p.control.receive(ctx)
		switch kind, ok := specialOf(m); {
		case errors.Is(err, io.EOF):
			return special, errors.New("the container's first process ended while it made its mounts")
		case err != nil:
			return special, err
		case m == msgReady:
			return special, nil
		case !ok || f == nil:
			return special, fmt.Errorf("unexpected message %d of the container's first process", m)
		default:
			special[kind] = f
		}
	}
}

// checkOOMScore warns when the process could not set its score.
func (p *firstProcess) checkOOMScore(want *int) []string {
	if want == nil {
		return nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.pid))
	if got := strings.TrimSpace(string(b)); err != nil || got != strconv.Itoa(*want) {
		return []string{fmt.Sprintf("the OOM score cannot be lowered to %d here and stays at %s", *want, got)}
	}
	return nil
}

// reason explains a failed send by what the process said before it died.
func (p *firstProcess) reason(ctx context.Context, err error) error {
	var step *runtime.StepError
	if _, _, said := p.control.receive(ctx); errors.As(said, &step) {
		return said
	}
	return err
}

func (p *firstProcess) takePidFD() *os.File {
	f := p.pidfd
	p.pidfd = nil
	return f
}

// kill ends the process, with its pid namespace, and reaps it if it is ours. When
// somebody else was faster, such as the kernel for want of memory, fate tells: it
// is the reason of whatever failed.
func (p *firstProcess) kill() error {
	if p.pidfd == nil {
		return nil
	}
	killed := ended(p.pidfd)
	if err := signalProcess(p.pidfd, unix.SIGKILL); err != nil && !errors.Is(err, runtime.ErrNotRunning) {
		return fmt.Errorf("cannot kill the container's first process: %w", err)
	}
	if err := awaitEnd(context.Background(), p.pidfd); err != nil {
		return fmt.Errorf("cannot wait for the container's first process: %w", err)
	}
	if !p.mine {
		return nil
	}
	if status, err := reap(p.pid); err == nil && killed && status.Signaled() {
		p.fate = fmt.Errorf("the container's first process was killed by signal %d (%v)", status.Signal(), status.Signal())
	}
	return nil
}

func (p *firstProcess) close() {
	p.control.close()
	for _, f := range []*os.File{p.pidfd, p.terminal} {
		if f != nil {
			f.Close()
		}
	}
}
