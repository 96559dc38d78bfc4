package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// newEntry records one network and returns it as a fresh process would see it.
func newEntry(t *testing.T, n Network) *entry {
	t.Helper()
	dir := t.TempDir()
	if err := newStore(dir).create(record{Network: n, Owners: []string{"shop"}}); err != nil {
		t.Fatal(err)
	}
	return newStore(dir).entry(n.ID)
}

func small(bits int) Network {
	return Network{ID: "aa", Name: "net", Pools: []Pool{{Subnet: netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), bits)}}}
}

func ask(e *entry, container string) *leaseCall {
	c := &leaseCall{endpoint: Endpoint{Container: container, Network: "aa", IfName: "eth0"}, project: "shop", netns: 7}
	e.lease(c)
	return c
}

// Several processes (stores) with many callers each never give one address twice.
func TestLeasesAtOnce(t *testing.T) {
	e := newEntry(t, small(22))
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[netip.Addr]string)
	for process := range 4 {
		other := newStore(filepath.Dir(e.dir)).entry("aa")
		for n := range 100 {
			wg.Go(func() {
				c := ask(other, fmt.Sprintf("%d-%d", process, n))
				mu.Lock()
				defer mu.Unlock()
				if holder := seen[c.lease.IPv4]; c.err != nil || holder != "" {
					t.Errorf("%v for %s, held by %q: %v", c.lease.IPv4, c.endpoint.Container, holder, c.err)
				}
				seen[c.lease.IPv4] = c.endpoint.Container
			})
		}
	}
	wg.Wait()
	if _, leases, err := e.view(); err != nil || len(leases) != 400 {
		t.Errorf("%d leases are recorded, %v; want 400", len(leases), err)
	}
}

func TestLeaseIsKept(t *testing.T) {
	e := newEntry(t, small(24))
	first := ask(e, "web")
	again := ask(newStore(filepath.Dir(e.dir)).entry("aa"), "web")
	if first.err != nil || again.err != nil || first.lease.IPv4 != again.lease.IPv4 || !first.fresh || again.fresh {
		t.Errorf("%+v, then %+v", first, again)
	}
}

func TestLimitsOfANetwork(t *testing.T) {
	e := newEntry(t, small(29))
	for n := range 5 {
		if c := ask(e, fmt.Sprint(n)); c.err != nil {
			t.Fatal(c.err)
		}
	}
	if c := ask(e, "one too many"); !errors.Is(c.err, errExhausted) || !strings.Contains(c.err.Error(), "network net") {
		t.Errorf("a full subnet: %v", c.err)
	}
	big := newEntry(t, small(16))
	err := big.update(func(st *state) error {
		for n := range maxPorts {
			a := netip.AddrFrom4([4]byte{10, 0, byte(1 + n/256), byte(n)})
			if err := st.add(Lease{Container: fmt.Sprint(n), IfName: "eth0", IPv4: a}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := ask(big, "one too many"); c.err == nil || !strings.Contains(c.err.Error(), "at most 1023 ports") {
		t.Errorf("a full bridge: %v", c.err)
	}
}

func TestStaticAddressesAreHeld(t *testing.T) {
	e := newEntry(t, small(29))
	e.hold(map[netip.Addr]string{netip.MustParseAddr("10.0.0.2"): "later"})
	if c := ask(e, "now"); c.lease.IPv4 != netip.MustParseAddr("10.0.0.3") {
		t.Errorf("the address held for another: %v, %v", c.lease.IPv4, c.err)
	}
	c := &leaseCall{endpoint: Endpoint{Container: "later", Network: "aa", IfName: "eth0", IPv4: netip.MustParseAddr("10.0.0.2")}}
	if e.lease(c); c.err != nil {
		t.Error(c.err)
	}
}

// Whose crash comes before a network's bridge and record are gone finds it as its own.
func TestLastOwnerStays(t *testing.T) {
	for name, c := range map[string]struct {
		owners []string
		leases int
		last   bool
		want   []string
	}{
		"alone":                  {[]string{"p"}, 0, true, []string{"p"}},
		"of none, after a crash": {nil, 0, true, nil},
		"of two":                 {[]string{"p", "q"}, 0, false, []string{"q"}},
		"made by a person":       {[]string{"", "p"}, 0, false, []string{""}},
		"leased":                 {[]string{"p"}, 1, false, []string{}},
	} {
		st := state{record: record{Owners: c.owners}, leases: make([]leaseLine, c.leases)}
		if last := st.leave("p"); last != c.last || !slices.Equal(st.record.Owners, c.want) || st.recordChanged == last {
			t.Errorf("%s: last %v, owners %q, changed %v", name, last, st.record.Owners, st.recordChanged)
		}
	}
}

// A failed change leaves the files and the cache as they were.
func TestFailedChange(t *testing.T) {
	e := newEntry(t, small(24))
	ask(e, "web")
	fail := errors.New("no")
	err := e.update(func(st *state) error {
		st.drop(func(Lease) bool { return true })
		return fail
	})
	if _, leases, _ := e.view(); !errors.Is(err, fail) || len(leases) != 1 {
		t.Errorf("%v; %d leases", err, len(leases))
	}
}

func TestStateOfANewerStack(t *testing.T) {
	e := newEntry(t, small(24))
	ask(e, "web")
	for _, name := range []string{"leases.json", "network.json"} {
		path := filepath.Join(e.dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		newer := strings.Replace(strings.Replace(string(b), `"Version":1`, `"Version":2`, 1), `"Version": 1`, `"Version": 2`, 1)
		if err := writeFile(path, []byte(newer)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.view(); err == nil || !strings.Contains(err.Error(), "newer stack") {
			t.Errorf("%s of version 2: %v", name, err)
		}
	}
}

func TestRemovedNetworkGivesNoLease(t *testing.T) {
	e := newEntry(t, small(24))
	if err := newStore(filepath.Dir(e.dir)).entry("aa").remove(); err != nil {
		t.Fatal(err)
	}
	if c := ask(e, "web"); !errors.Is(c.err, ErrNotFound) {
		t.Errorf("%+v", c)
	}
	if _, err := os.Stat(e.dir); err == nil {
		t.Error("asking made the directory again")
	}
}
