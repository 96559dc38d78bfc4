package scheduler

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"stack/netns"
	"stack/runtime/cdi"
	"stack/runtime/image"
	"stack/spec"
)

// fakeMachine is a Machinery with some ports taken and some networks there.
type fakeMachine struct {
	taken    []string // netns.Port.String()
	networks []string
	subnets  []netip.Prefix
	asked    []string
	open     []*os.File
	facts    Facts
	vendors  []string
	images   []image.Record
	runtimes []string
	quotas   error
}

func (m *fakeMachine) Runtime(name string) error {
	if !slices.Contains(m.runtimes, name) {
		return fmt.Errorf("no %s here", name)
	}
	return nil
}

func (m *fakeMachine) Vendors() *cdi.Registry          { return cdi.Load(m.vendors) }
func (m *fakeMachine) Facts() Facts                    { return m.facts }
func (m *fakeMachine) Images() ([]image.Record, error) { return m.images, nil }

func (m *fakeMachine) Reserve(p netns.Port) (netns.Port, *os.File, error) {
	m.asked = append(m.asked, p.String())
	if slices.Contains(m.taken, p.String()) {
		return p, nil, fmt.Errorf("port %v is taken by nginx (pid 7): %w", p, syscall.EADDRINUSE)
	}
	f, err := os.Open(os.DevNull)
	m.open = append(m.open, f)
	return p, f, err
}

func (m *fakeMachine) Clash(n netns.Network) error {
	for _, own := range m.subnets {
		for _, pool := range n.Pools {
			if own.Overlaps(pool.Subnet) {
				return fmt.Errorf("subnet %v of network %s overlaps %v", pool.Subnet, n.Name, own)
			}
		}
	}
	return nil
}

func (m *fakeMachine) Neighbour(container string) (Peer, error) {
	if container != "other-web-1" {
		return Peer{}, fmt.Errorf("there is no container %s", container)
	}
	return Peer{Pid: 1, UserNS: "x", IDs: &IDRange{1000, 10}}, nil
}

func (m *fakeMachine) Quotas() error { return m.quotas }

func (m *fakeMachine) Seccomp(file string) error {
	_, err := os.Stat(file)
	return err
}

func (m *fakeMachine) Filesystem(kind string) error {
	if kind == "nfs" {
		return fmt.Errorf("cannot open file system %q: %w", kind, syscall.ENODEV)
	}
	return nil
}

func (m *fakeMachine) Lookup(name string) (netns.Network, bool, error) {
	return netns.Network{Name: name}, slices.Contains(m.networks, name), nil
}

// writeStack loads text as /…/stack.yaml of the project "shop".
func writeStack(t *testing.T, text string) (*spec.Stack, *Store) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "stack.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := spec.Load(t.Context(), spec.Options{Dir: dir, Files: []string{filepath.Join(dir, "stack.yaml")}, Project: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return st, &Store{Layout: NewLayout(func(k string) string {
		return map[string]string{"STACK_ROOT": filepath.Join(dir, "state")}[k]
	}, 0), Project: "shop"}
}

// lines are the findings as LINE:RULE, for comparison.
func lines(found spec.Diagnostics) []string {
	var out []string
	for _, d := range found {
		out = append(out, fmt.Sprintf("%d:%s", d.Line, d.Rule))
	}
	return out
}

const wanting = `services:
  web:
    image: rootfs:/nowhere
    ports: ["9000-9001:90"]
    scale: 2
    volumes:
      - ./missing:/long
      - {type: bind, source: ./absent, target: /absent}
      - {type: bind, source: ./made, target: /made, bind: {create_host_path: true}}
      - theirs:/theirs
      - own:/own
    devices: [/dev/nothing]
    networks: [front, theirs]
  db:
    image: rootfs:/
    networks: [front, theirs]
    volumes: [theirs:/theirs]
networks:
  front: {ipam: {config: [{subnet: 10.9.0.0/24}]}}
  theirs: {external: true}
volumes:
  theirs: {external: true}
  own: {}
`

func TestPreflightFindsEverythingAtOnce(t *testing.T) {
	st, s := writeStack(t, wanting)
	m := &fakeMachine{taken: []string{"9001/tcp"}, subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	found, err := Preflight(t.Context(), st, []string{"web", "db"}, m, s)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"3:image", "4:port-taken", "8:bind-source", "12:device", "19:subnet-overlap", "20:external-network", "22:external-volume"}
	if got := lines(found); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v\n%v", got, want, found)
	}
	text := found.Error()
	for _, part := range []string{"port 9001/tcp is taken by nginx (pid 7) [", "stack network create theirs", "stack volume create theirs", "/absent does not exist"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
	if !slices.Equal(m.asked, []string{"9000/tcp", "9001/tcp"}) {
		t.Errorf("asked for %v", m.asked)
	}
	for _, f := range m.open {
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Error("a port stays reserved")
		}
	}
}

func TestPreflightLooksAtTheNamedServicesOnly(t *testing.T) {
	st, s := writeStack(t, wanting)
	found, err := Preflight(t.Context(), st, []string{"db"}, &fakeMachine{networks: []string{"theirs"}}, s)
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(found); !slices.Equal(got, []string{"22:external-volume"}) {
		t.Errorf("found %v", found)
	}
}

// The command line may want more replicas than the file has ports for.
func TestPreflightCountsReplicas(t *testing.T) {
	st, s := writeStack(t, `services:
  web:
    image: rootfs:/
    ports: ["8080:80", "9000-9001:90", "70"]
`)
	svc := st.Services["web"]
	svc.Scale = new(3)
	st.Services["web"] = svc
	found, err := Preflight(t.Context(), st, []string{"web"}, &fakeMachine{}, s)
	if err != nil {
		t.Fatal(err)
	}
	text := found.Error()
	if len(found) != 1 || !strings.Contains(text, "replica 3 has no port left") {
		t.Errorf("found %v", found)
	}
}

// What the project has itself is no obstacle: an unchanged up must pass.
func TestPreflightKnowsItsOwn(t *testing.T) {
	st, s := writeStack(t, `services:
  web:
    image: rootfs:/
    ports: ["8080:80", "8081:81", "7000-7009:70", "90"]
    volumes: [theirs:/theirs]
volumes:
  theirs: {external: true, name: real}
`)
	if err := s.Layout.SaveVolume(Volume{Name: "real"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Init(); err != nil {
		t.Fatal(err)
	}
	for n, state := range []InstanceState{StateRunning, StateExited} {
		err := s.SaveInstance(&Instance{ID: strings.Repeat(fmt.Sprint(n), 64), Service: "web", State: state,
			Ports: []netns.Port{{Protocol: "tcp", HostPort: uint16(8080 + n), Target: 80}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	m := &fakeMachine{taken: []string{"8080/tcp", "8081/tcp"}}
	found, err := Preflight(t.Context(), st, st.ServiceNames(), m, s)
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(found); !slices.Equal(got, []string{"4:port-taken"}) || !strings.Contains(found[0].Message, "8081") {
		t.Errorf("found %v", found)
	}
	if slices.Contains(m.asked, "8080/tcp") {
		t.Error("asked for a port that its own container has")
	}
}

// What only the translation refuses is found before anything is made as well.
func TestPreflightTranslates(t *testing.T) {
	st, s := writeStack(t, `services:
  a:
    image: rootfs:/
    sysctls: {kernel.panic: 1}
    cpus: 1
    cpu_quota: 1000
    device_cgroup_rules: ["x 1:2 r"]
    tmpfs: ["/t:size=1m,nosuch=1"]
  b:
    image: rootfs:/
    network_mode: host
    sysctls: {net.core.somaxconn: 1}
`)
	found, err := Preflight(t.Context(), st, st.ServiceNames(), &fakeMachine{}, s)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"3:limits", "3:mounts", "4:sysctls", "7:devices", "12:sysctls"}
	if got := lines(found); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v\n%v", got, want, found)
	}
}

func TestPreflightChangesNothing(t *testing.T) {
	st, s := writeStack(t, wanting)
	if _, err := Preflight(t.Context(), st, st.ServiceNames(), &fakeMachine{}, s); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Layout.Lib); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("state was made: %v", err)
	}
	if _, err := os.Stat(filepath.Join(st.WorkingDir, "made")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a bind source was made: %v", err)
	}
}

func TestPreflightEndsWithItsContext(t *testing.T) {
	st, s := writeStack(t, wanting)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Preflight(ctx, st, nil, &fakeMachine{}, s); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A kernel without the file system is told, with the place that asks for it.
func TestPreflightAsksForFilesystems(t *testing.T) {
	st, s := writeStack(t, `services:
  a: {image: "rootfs:/", volumes: ["data:/data", "ram:/ram"]}
volumes:
  data:
    driver_opts: {type: nfs, o: "addr=127.0.0.1", device: ":/export"}
  ram:
    driver_opts: {type: tmpfs, device: tmpfs}
`)
	found, err := Preflight(t.Context(), st, st.ServiceNames(), &fakeMachine{}, s)
	if err != nil {
		t.Fatal(err)
	}
	want := `this machine's kernel has no file system "nfs", nor a module of it`
	if got := lines(found); !slices.Equal(got, []string{"5:volume-options"}) || found[0].Message != want {
		t.Errorf("found %v", found)
	}
}
