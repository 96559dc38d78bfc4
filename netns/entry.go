package netns

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// recordVersion and the others are the formats this program writes and the
// newest it reads.
const (
	recordVersion  = 1
	leaseVersion   = 1
	serviceVersion = 1
)

// record is networks/ID/network.json.
type record struct {
	Version int
	// Network has its subnets and bridge filled in.
	Network Network
	// Owners are the projects that use the network, "" for `network create`.
	// The bridge goes with the last one.
	Owners []string
}

// leaseFile is networks/ID/leases.json, one lease a line.
type leaseFile struct {
	Version int
	Leases  []Lease
}

// serviceFile is networks/ID/services.json.
type serviceFile struct {
	Version  int
	Services []ServiceLease
}

// entry is one network's directory, cached as long as its files don't change.
type entry struct {
	id, dir string
	self    string // see store

	serve   sync.Mutex // one batch of lease calls at a time
	queueMu sync.Mutex
	queue   []*leaseCall

	mu                      sync.Mutex // guards what follows
	recordStamp, leaseStamp stamp
	serviceStamp            stamp
	cached                  state
	last                    map[bool]netip.Addr // latest lease, by Is4
	held                    map[netip.Addr]string
}

// state is what the files say, and what of it is to be written.
type state struct {
	record        record
	leases        []leaseLine
	taken         map[netip.Addr]string // address to container
	services      []ServiceLease
	recordChanged bool
	leasesChanged bool

	servicesChanged bool
}

// leaseLine keeps a lease's encoding: rewriting the file then costs a copy.
type leaseLine struct {
	Lease
	line []byte
}

// hold keeps addresses that the file gives to containers from being leased to
// others before those containers come.
func (e *entry) hold(static map[netip.Addr]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held = static
}

// view reads the network without locking it.
func (e *entry) view() (record, []Lease, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.refresh(); err != nil {
		return record{}, nil, err
	}
	leases := make([]Lease, len(e.cached.leases))
	for i, l := range e.cached.leases {
		leases[i] = l.Lease
	}
	r := e.cached.record
	r.Owners = slices.Clone(r.Owners)
	return r, leases, nil
}

// served is the part of view that leads clients to services, not to be changed;
// version is another one when it is.
func (e *entry) served() (n Network, services []ServiceLease, version string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err = e.refresh(); err != nil {
		return Network{}, nil, "", err
	}
	return e.cached.record.Network, e.cached.services, fmt.Sprint(e.id, e.recordStamp, e.serviceStamp), nil
}

func (e *entry) forget() {
	e.cached, e.recordStamp, e.leaseStamp, e.serviceStamp = state{}, stamp{}, stamp{}, stamp{}
}

// network is view without the leases.
func (e *entry) network() (Network, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.refresh()
	return e.cached.record.Network, err
}

// update changes the network under its flock. When change fails, nothing is
// written.
func (e *entry) update(change func(*state) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	lock, err := flock(filepath.Join(e.dir, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNotFound, e.id)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := e.refresh(); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	err = change(&e.cached)
	if err == nil {
		err = e.write()
	}
	if err != nil {
		e.forget() // the half-made change
	}
	return err
}

// remove deletes the network's files. The machine-wide lock is held.
func (e *entry) remove() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	lock, err := flock(filepath.Join(e.dir, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	e.forget()
	if err := os.RemoveAll(e.dir); err != nil {
		return fmt.Errorf("cannot remove the record of network %s: %w", e.id, err)
	}
	return nil
}

func (e *entry) recordPath() string { return filepath.Join(e.dir, "network.json") }
func (e *entry) leasePath() string  { return filepath.Join(e.dir, "leases.json") }

func (e *entry) servicePath() string { return filepath.Join(e.dir, "services.json") }

// refresh reads the files that changed since they were last read.
func (e *entry) refresh() error {
	at, err := stampOf(e.recordPath())
	if errors.Is(err, fs.ErrNotExist) {
		e.forget()
		return fmt.Errorf("%w: %s", ErrNotFound, e.id)
	}
	if err != nil {
		return fmt.Errorf("cannot read network %s: %w", e.id, err)
	}
	if at != e.recordStamp {
		if err := e.readRecord(); err != nil {
			return err
		}
		e.recordStamp = at
	}
	at, err = stampOf(e.leasePath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read network %s: %w", e.id, err)
	}
	if at != e.leaseStamp || e.cached.taken == nil {
		if err := e.readLeases(); err != nil {
			return err
		}
		e.leaseStamp = at
	}
	return e.readServices()
}

// readServices reads the services if they changed; most networks of old have none.
func (e *entry) readServices() error {
	at, err := stampOf(e.servicePath())
	if errors.Is(err, fs.ErrNotExist) {
		e.cached.services, e.serviceStamp = nil, stamp{}
		return nil
	}
	if err == nil && at == e.serviceStamp {
		return nil
	}
	var f serviceFile
	b, err2 := os.ReadFile(e.servicePath())
	if err := errorsOf(err, err2); err != nil {
		return fmt.Errorf("cannot read services of network %s: %w", e.id, err)
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("cannot read %s: %w", e.servicePath(), err)
	}
	if f.Version > serviceVersion {
		return fmt.Errorf("cannot read %s: version %d was written by a newer stack", e.servicePath(), f.Version)
	}
	e.cached.services, e.serviceStamp = f.Services, at
	return nil
}

func (e *entry) readRecord() error {
	b, err := os.ReadFile(e.recordPath())
	if err != nil {
		return fmt.Errorf("cannot read network %s: %w", e.id, err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("cannot read %s: %w", e.recordPath(), err)
	}
	if r.Version > recordVersion {
		return fmt.Errorf("cannot read %s: version %d was written by a newer stack", e.recordPath(), r.Version)
	}
	e.cached.record = r
	return nil
}

func (e *entry) readLeases() error {
	e.cached.leases, e.cached.taken = nil, make(map[netip.Addr]string)
	b, err := os.ReadFile(e.leasePath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read leases of network %s: %w", e.id, err)
	}
	var f leaseFile
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("cannot read %s: %w", e.leasePath(), err)
	}
	if f.Version > leaseVersion {
		return fmt.Errorf("cannot read %s: version %d was written by a newer stack", e.leasePath(), f.Version)
	}
	for _, l := range f.Leases {
		if err := e.cached.add(l); err != nil {
			return err
		}
	}
	e.cached.leasesChanged = false
	return nil
}

// write stores what changed; the flock is held.
func (e *entry) write() error {
	st := &e.cached
	if st.recordChanged {
		st.record.Version = recordVersion
		if err := writeJSON(e.recordPath(), st.record); err != nil {
			return err
		}
		st.recordChanged = false
		e.recordStamp, _ = stampOf(e.recordPath())
	}
	if st.leasesChanged {
		if err := writeFile(e.leasePath(), st.encodeLeases()); err != nil {
			return err
		}
		st.leasesChanged = false
		e.leaseStamp, _ = stampOf(e.leasePath())
	}
	if st.servicesChanged {
		if err := writeJSON(e.servicePath(), serviceFile{serviceVersion, st.services}); err != nil {
			return err
		}
		st.servicesChanged = false
		e.serviceStamp, _ = stampOf(e.servicePath())
		e.tell()
	}
	return nil
}

func (st *state) encodeLeases() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"Version\":%d,\"Leases\":[", leaseVersion)
	for i, l := range st.leases {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(l.line)
	}
	b.WriteString("\n]}\n")
	return b.Bytes()
}

func (st *state) add(l Lease) error {
	line, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("cannot encode the lease of %s: %w", short(l.Container), err)
	}
	st.leases = append(st.leases, leaseLine{l, line})
	for _, a := range []netip.Addr{l.IPv4, l.IPv6} {
		if a.IsValid() {
			st.taken[a] = l.Container
		}
	}
	st.leasesChanged = true
	return nil
}

// drop removes the leases that gone selects and returns them.
func (st *state) drop(gone func(Lease) bool) (dropped []Lease) {
	st.leases = slices.DeleteFunc(st.leases, func(l leaseLine) bool {
		if !gone(l.Lease) {
			return false
		}
		delete(st.taken, l.IPv4)
		delete(st.taken, l.IPv6)
		dropped = append(dropped, l.Lease)
		return true
	})
	if len(dropped) == 0 {
		return nil
	}
	st.leasesChanged = true
	// An address that is free may be another's soon.
	st.withdraw(func(a netip.Addr) bool { _, leased := st.taken[a]; return !leased })
	return dropped
}
