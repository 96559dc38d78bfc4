package netns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestMain lets the test binary be a second stack's process; see TestTwoProcesses.
func TestMain(m *testing.M) {
	if os.Getenv("NETNS_TEST_CHILD") != "" {
		os.Args = []string{os.Args[0], "-test.run=^TestChildProcess$", "-test.v"}
	}
	os.Exit(m.Run())
}

const perProcess = 20

// attachMany is what each process of TestTwoProcesses does.
func attachMany(t *testing.T, l *lab, h *Host, project string) (out []Lease) {
	shared, err := h.Lookup("shared")
	must(t, err)
	shared.External = true
	must(t, h.Apply(context.Background(), Config{Networks: []Network{shared}}))
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range perProcess {
		c := l.container(fmt.Sprintf("%s-%d", project, i))
		wg.Go(func() {
			leases, err := h.Attach(context.Background(), endpoints(c.id, shared), c.pid)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			out = append(out, leases...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return out
}

func TestChildProcess(t *testing.T) {
	spec := strings.Split(os.Getenv("NETNS_TEST_CHILD"), " ")
	if len(spec) != 3 {
		t.Skip("this is the child's part of TestTwoProcesses")
	}
	host, err := os.Open(spec[0])
	must(t, err)
	l := &lab{t: t, host: host, state: spec[1]}
	leases := attachMany(t, l, l.open(spec[2]), spec[2])
	must(t, json.NewEncoder(os.Stderr).Encode(leases))
	// Containers live until the parent has looked.
	fmt.Scanln()
}

func TestTwoProcesses(t *testing.T) {
	l, ctx := newLab(t), context.Background()
	was := l.picture()
	admin := l.open("")
	must(t, admin.CreateNetwork(ctx, Network{ID: NetworkID("", "shared"), Name: "shared", Masquerade: true, Size: 2 * perProcess}))
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "NETNS_TEST_CHILD="+l.path(l.host)+" "+l.state+" b")
	said := &lineBuffer{ready: make(chan struct{})}
	child.Stderr = said
	hold, err := child.StdinPipe()
	must(t, err)
	must(t, child.Start())
	a := l.open("a")
	mine := attachMany(t, l, a, "a")
	select {
	case <-said.ready:
	case <-func() chan error { ch := make(chan error, 1); go func() { ch <- child.Wait() }(); return ch }():
	}
	var theirs []Lease
	must(t, json.Unmarshal([]byte(said.String()), &theirs))
	seen := make(map[netip.Addr]string)
	for _, one := range append(slices.Clone(mine), theirs...) {
		if other := seen[one.IPv4]; other != "" {
			t.Errorf("%v was given to %s and %s", one.IPv4, other, one.Container)
		}
		seen[one.IPv4] = one.Container
	}
	if len(seen) != 2*perProcess {
		t.Errorf("%d addresses, want %d", len(seen), 2*perProcess)
	}
	recorded, err := a.Leases(NetworkID("", "shared"))
	must(t, err)
	if len(recorded) != 2*perProcess {
		t.Errorf("%d leases are recorded, want %d", len(recorded), 2*perProcess)
	}
	if err := admin.RemoveNetwork(ctx, "shared"); !errors.Is(err, ErrInUse) {
		t.Errorf("removing a network in use: %v", err)
	}
	must(t, a.Remove(ctx))
	b := l.open("b")
	if left, _ := b.Leases(NetworkID("", "shared")); len(left) != perProcess {
		t.Errorf("after one stack is gone %d leases are left, want %d", len(left), perProcess)
	}
	must(t, b.Remove(ctx))
	must(t, admin.RemoveNetwork(ctx, "shared"))
	same(t, was, l.picture())
	hold.Close()
}

// lineBuffer collects output and tells when it has a line.
type lineBuffer struct {
	mu    sync.Mutex
	b     bytes.Buffer
	ready chan struct{}
}

func (l *lineBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	had := bytes.Contains(l.b.Bytes(), []byte("\n"))
	l.b.Write(p)
	if !had && bytes.Contains(l.b.Bytes(), []byte("\n")) {
		close(l.ready)
	}
	return len(p), nil
}

func (l *lineBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestNetworkGoesWithItsLastOwner(t *testing.T) {
	l, ctx := newLab(t), context.Background()
	was := l.picture()
	one, two := l.open("one"), l.open("two")
	front := network("one", "front")
	must(t, one.Apply(ctx, Config{Networks: []Network{front}}))
	found, err := two.Lookup("one_front")
	must(t, err)
	found.External = true
	must(t, two.Apply(ctx, Config{Networks: []Network{found}}))
	c := l.container("c")
	lease := l.attach(two, c, found)[0]
	l.serve(c.ns, ":80", "c")

	must(t, one.Remove(ctx))
	l.reaches("container of the other stack", l.host, at(lease.IPv4, 80), "c")
	must(t, two.Remove(ctx))
	same(t, was, l.picture())

	missing := found
	err = two.Apply(ctx, Config{Networks: []Network{missing}})
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "one_front") {
		t.Errorf("an external network that does not exist: %v", err)
	}
}

func TestStacksAreApart(t *testing.T) {
	l, ctx := newLab(t), context.Background()
	one, two := l.open("one"), l.open("two")
	a, b := network("one", "net"), network("two", "net")
	first, second := l.container("first"), l.container("second")
	must(t, one.Apply(ctx, Config{Networks: []Network{a}, Endpoints: endpoints("first", a)}))
	must(t, two.Apply(ctx, Config{
		Networks: []Network{b}, Endpoints: endpoints("second", b),
		Ports: []Port{{Container: "second", Protocol: "tcp", HostPort: 8080, Target: 80}, {Container: "second", Protocol: "udp", HostPort: 8080, Target: 80}},
	}))
	l.attach(one, first, a)
	lease := l.attach(two, second, b)[0]
	l.serve(second.ns, ":80", "second")
	l.misses("directly", first.ns, at(lease.IPv4, 80))
	l.reaches("published", first.ns, hostAddr+":8080", "second")
	if err := one.Apply(ctx, Config{Networks: []Network{{ID: NetworkID("one", "x"), Name: "two_net"}}}); err == nil {
		t.Error("a name that another project's network has was accepted")
	}
}
