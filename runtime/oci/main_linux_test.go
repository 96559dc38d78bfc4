package oci

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/native/metrics"
	"stack/runtime/runtimetest"
)

// TestMain lets the test binary be the runtime: as "binary oci ARGS...", and as
// "binary oci-events ARGS..." the one with statistics; "binary oci-forward" is TestForward's.
func TestMain(m *testing.M) {
	p := Program{Name: "oci", Version: "test"}
	switch {
	case len(os.Args) > 1 && os.Args[1] == "oci":
		p.Fuller = []string{"/proc/self/exe", "oci-events"}
		os.Exit(Main(p, os.Args[2:]))
	case len(os.Args) > 1 && os.Args[1] == "oci-events":
		p.Stats = metrics.Read
		os.Exit(Main(p, os.Args[2:]))
	case len(os.Args) > 1 && os.Args[1] == "oci-forward":
		if err := forwardToShell(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // or each command ends a second late
	os.Exit(m.Run())
}

// machine is where tests run containers: a state root and a root file system.
type machine struct {
	t            *testing.T
	root, rootfs string
	runtime      []string // the command line before the flags
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		runtimetest.Skip(t, "containers need root")
	}
	check(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	return &machine{
		t: t, root: filepath.Join(t.TempDir(), "run"), rootfs: runtimetest.Busybox(t), runtime: []string{"/proc/self/exe", "oci"},
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bundle writes a bundle whose container runs a shell script as the host's root.
func (m *machine) bundle(script string, change ...func(*specs.Spec)) string {
	m.t.Helper()
	spec := runtimetest.Spec(m.rootfs, "sh", "-c", script)
	runtimetest.HostUser(spec)
	for _, f := range change {
		f(spec)
	}
	return m.write(spec)
}

func (m *machine) write(spec any) string {
	m.t.Helper()
	dir := m.t.TempDir()
	text, err := json.Marshal(spec)
	check(m.t, err)
	check(m.t, os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600))
	return dir
}

func newID() string { return "oci-" + rand.Text() }

func (m *machine) command(args ...string) *exec.Cmd {
	return exec.Command(m.runtime[0], slices.Concat(m.runtime[1:], []string{"--root", m.root}, args)...)
}

// do runs a command line; output is both streams.
func (m *machine) do(args ...string) (string, int) {
	m.t.Helper()
	out, err := m.command(args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return strings.TrimSpace(string(out)), exit.ExitCode()
	case err != nil:
		m.t.Fatal(err)
	}
	return strings.TrimSpace(string(out)), 0
}

func (m *machine) must(args ...string) string {
	m.t.Helper()
	out, code := m.do(args...)
	if code != 0 {
		m.t.Fatalf("oci %v: exit %d: %s", args, code, out)
	}
	return out
}

// create creates a container whose output goes to a file, as a caller that stays
// away does it, and deletes it at the test's end.
func (m *machine) create(bundle string, flags ...string) (id, output string) {
	m.t.Helper()
	id, output = newID(), filepath.Join(m.t.TempDir(), "out")
	cmd := m.command(append(append([]string{"create", "-b", bundle}, flags...), id)...)
	f, err := os.Create(output)
	check(m.t, err)
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(output)
		m.t.Fatalf("create: %v: %s", err, text)
	}
	m.t.Cleanup(func() {
		m.must("delete", "-f", id)
		reapAll()
	})
	return id, output
}

// reapAll collects the orphans that are ours as a subreaper.
func reapAll() {
	for {
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil {
			return
		}
	}
}

func (m *machine) state(id string) (s stateJSON) {
	m.t.Helper()
	check(m.t, json.Unmarshal([]byte(m.must("state", id)), &s))
	return s
}

// await waits for a status.
func (m *machine) await(id, status string) {
	m.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s := m.state(id)
		if string(s.Status) == status {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("the container is %s, not %s", s.Status, status)
		}
	}
}

func (m *machine) awaitFile(name, want string) {
	m.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		b, _ := os.ReadFile(name)
		if bytes.Contains(b, []byte(want)) {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s holds %q, not %q", name, b, want)
		}
	}
}

// process writes a file for exec --process.
func (m *machine) process(p specs.Process) string {
	m.t.Helper()
	text, err := json.Marshal(p)
	check(m.t, err)
	name := filepath.Join(m.t.TempDir(), "process.json")
	check(m.t, os.WriteFile(name, text, 0o600))
	return name
}
