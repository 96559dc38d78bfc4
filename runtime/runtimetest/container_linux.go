package runtimetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

// box is a container under test.
type box struct {
	t       testing.TB
	rt      runtime.Runtime
	id      string
	created runtime.Created
	in      *os.File // write end of its standard input
	out     chan string
	waited  bool
	code    int
}

// deadline bounds every wait: what takes longer hangs.
const deadline = time.Minute

func background(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func newID() string {
	b := make([]byte, 32)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// create makes a container that is deleted at the end of the test.
func (s *suite) create(t testing.TB, spec *specs.Spec, change ...func(*runtime.Bundle)) *box {
	t.Helper()
	b, err := s.tryCreate(t, spec, change...)
	must(t, err)
	return b
}

func (s *suite) tryCreate(t testing.TB, spec *specs.Spec, change ...func(*runtime.Bundle)) (*box, error) {
	t.Helper()
	b := &box{t: t, rt: s.runtime, id: newID(), out: make(chan string, 1)}
	spec.Linux.CgroupsPath = "/stack/conformance/" + b.id
	inR, inW := pipe(t)
	outR, outW := pipe(t)
	bundle := runtime.Bundle{ID: b.id, Spec: spec, Stdin: inR, Stdout: outW, Stderr: outW}
	for _, f := range change {
		f(&bundle)
	}
	b.id, b.in = bundle.ID, inW
	var err error
	b.created, err = s.runtime.Create(background(t), bundle)
	inR.Close()
	outW.Close()
	go b.read(outR)
	if err != nil {
		inW.Close()
		return b, err
	}
	t.Cleanup(b.clean)
	return b, nil
}

func pipe(t testing.TB) (*os.File, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	return r, w
}

func (b *box) read(f *os.File) {
	defer f.Close()
	text, _ := io.ReadAll(f)
	b.out <- string(text)
}

// output is everything the container's processes wrote.
func (b *box) output() string {
	b.t.Helper()
	select {
	case text := <-b.out:
		b.out <- text
		return strings.TrimSuffix(text, "\n")
	case <-time.After(deadline):
		b.t.Fatal("the output does not end")
		return ""
	}
}

func (b *box) start() *box {
	b.t.Helper()
	must(b.t, b.rt.Start(background(b.t), b.id))
	return b
}

// wait returns the exit code of the first process, as a shell would.
func (b *box) wait() int {
	b.t.Helper()
	if b.waited {
		return b.code
	}
	awaitProcess(b.t, b.created.PidFD)
	b.code, b.waited = collect(b.t, b.created.Pid), true
	return b.code
}

func awaitProcess(t testing.TB, pidfd *os.File) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(deadline/time.Millisecond))
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll(fds, int(deadline/time.Millisecond))
	}
	if err != nil || n != 1 {
		t.Fatalf("the process does not end (%v)", err)
	}
}

// collect reaps a child, or an orphan that is ours as a subreaper.
func collect(t testing.TB, pid int) int {
	t.Helper()
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		must(t, err)
		break
	}
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// state asks the runtime.
func (b *box) state() runtime.Status {
	b.t.Helper()
	s, err := b.rt.State(background(b.t), b.id)
	must(b.t, err)
	return s.Status
}

func (b *box) kill(sig syscall.Signal) {
	b.t.Helper()
	must(b.t, b.rt.Kill(background(b.t), b.id, sig, false))
}

// clean removes the container and checks that nothing of it is left.
func (b *box) clean() {
	b.t.Helper()
	b.in.Close()
	err := b.rt.Delete(background(b.t), b.id, true)
	if err != nil && !errors.Is(err, runtime.ErrNotFound) {
		b.t.Errorf("cannot clean up: %v", err)
	}
	if !b.waited {
		b.wait()
	}
	b.created.PidFD.Close()
	if b.created.Console != nil {
		b.created.Console.Close()
	}
	checkGone(b.t, b.id)
}

// checkGone looks for mounts and cgroups of a container.
func checkGone(t testing.TB, id string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	if bytes.Contains(text, []byte(id)) {
		t.Errorf("mounts of container %s are left", id)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 8 && strings.Contains(line, " - cgroup") {
			if _, err := os.Stat(fields[4] + "/stack/conformance/" + id); err == nil {
				t.Errorf("cgroup %s/stack/conformance/%s is left", fields[4], id)
			}
		}
	}
}

// run creates, starts and waits; it returns what was written and the exit code.
func (s *suite) run(t testing.TB, spec *specs.Spec, change ...func(*runtime.Bundle)) (string, int) {
	t.Helper()
	b := s.create(t, spec, change...).start()
	b.in.Close()
	code := b.wait()
	return b.output(), code
}

// shell is Spec with a shell script.
func (s *suite) shell(script string) *specs.Spec { return Spec(s.rootfs, "sh", "-c", script) }

// waiting is a container that runs until its standard input ends.
func (s *suite) waiting(t testing.TB, change ...func(*specs.Spec)) *box {
	t.Helper()
	spec := Spec(s.rootfs, "cat")
	for _, f := range change {
		f(spec)
	}
	return s.create(t, spec).start()
}
