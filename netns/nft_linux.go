package netns

import (
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// table is a project's nftables table as it was last written or read.
type table struct {
	conn *nftables.Conn
	name string
	port uint32 // of the socket
	// elements are the sets' members; valid while the kernel's generation, which
	// every change of any table moves on, is the one noted here.
	elements   map[string][]element
	generation uint32
	// written are the sets' members as they should be: what was last written of them.
	written map[string][]element
	// accepted says which accepts stood in the tables of others at acceptedAt.
	accepted   string
	acceptedAt uint32
}

// openTable prepares for the given namespace; 0 is the process's own.
func openTable(ns int, name string) (*table, error) {
	t := &table{name: name}
	buffers := func(c *netlink.Conn) error {
		_ = c.SetWriteBuffer(4 << 20)
		_ = c.SetReadBuffer(4 << 20)
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		return raw.Control(func(fd uintptr) { t.port = portOf(int(fd)) })
	}
	conn, err := nftables.New(nftables.WithNetNSFd(ns), nftables.AsLasting(), nftables.WithSockOptions(buffers))
	if err != nil {
		return nil, fmt.Errorf("cannot open an nftables socket: %w", err)
	}
	t.conn = conn
	return t, nil
}

func (t *table) Close() error { return t.conn.CloseLasting() }

func (t *table) ref() *nftables.Table {
	return &nftables.Table{Name: t.name, Family: nftables.TableFamilyINet}
}

// sync makes the kernel's table equal to want in one transaction; no
// transaction when it is. generation reads the kernel's counter.
func (t *table) sync(want ruleset, generation func() (uint32, error)) (changed bool, err error) {
	now, err := generation()
	if err != nil {
		return false, err
	}
	intact := true
	if t.elements == nil || now != t.generation {
		if intact, err = t.read(want); err != nil {
			return false, err
		}
	}
	if intact {
		changed, err = t.update(want)
	} else {
		changed, err = true, t.install(want)
	}
	if err != nil {
		t.elements = nil
		return false, err
	}
	t.elements = elementsOf(want)
	t.written = t.elements
	if !changed {
		t.generation = now
		return false, nil
	}
	after, err := generation()
	if err != nil || after != now+1 {
		t.elements = nil // somebody else's change came between: read next time
	}
	t.generation = after
	return true, err
}

func elementsOf(r ruleset) map[string][]element {
	out := make(map[string][]element)
	for _, s := range r.Sets {
		out[s.Name] = s.Elements
	}
	return out
}

// update changes the sets' members only, and the chains that maps lead to.
func (t *table) update(want ruleset) (changed bool, err error) {
	return t.change(changeOf(t.elements, want.Sets))
}

// change carries out what changeOf computed, in one transaction.
func (t *table) change(c change) (changed bool, err error) {
	if c.empty() {
		return false, nil
	}
	ref := t.ref()
	for _, name := range c.begin {
		t.conn.AddChain(&nftables.Chain{Name: name, Table: ref})
		if err := t.addRules(spreadChain(name)); err != nil {
			return false, err
		}
	}
	for _, s := range c.sets {
		ref, err := t.set(s.set)
		if err != nil {
			return false, err
		}
		if err := inChunks(s.remove, s.set, ref, t.conn.SetDeleteElements); err != nil {
			return false, err
		}
		if err := inChunks(s.add, s.set, ref, t.conn.SetAddElements); err != nil {
			return false, err
		}
	}
	for _, name := range c.end {
		t.conn.DelChain(&nftables.Chain{Name: name, Table: ref})
	}
	if err := t.conn.Flush(); err != nil {
		return false, fmt.Errorf("cannot change table inet %s: %w", t.name, err)
	}
	return true, nil
}

// inChunks keeps a list of elements below the 64 KiB of a netlink attribute.
func inChunks(all []element, s set, ref *nftables.Set, do func(*nftables.Set, []nftables.SetElement) error) error {
	const chunk = 400
	for len(all) > 0 {
		n := min(chunk, len(all))
		enc, err := encodeElements(s, all[:n])
		if err != nil {
			return err
		}
		if err := do(ref, enc); err != nil {
			return fmt.Errorf("cannot encode set %s: %w", s.Name, err)
		}
		all = all[n:]
	}
	return nil
}

// install replaces the whole table in one transaction.
func (t *table) install(want ruleset) error {
	there, err := t.exists()
	if err != nil {
		return err
	}
	return t.write(want, there)
}

// write makes the table; replace says that there is one to delete first.
func (t *table) write(want ruleset, replace bool) error {
	ref := t.ref()
	if replace {
		t.conn.DelTable(ref)
	}
	t.conn.CreateTable(ref)
	for _, c := range want.Chains { // first: maps may lead to them
		r, err := t.chain(c)
		if err != nil {
			return err
		}
		t.conn.AddChain(r)
	}
	for i, s := range want.Sets {
		r, err := t.set(s)
		if err != nil {
			return err
		}
		r.ID = uint32(i + 1) // 0 would draw from a counter that is not safe to share
		if err := t.conn.AddSet(r, nil); err != nil {
			return fmt.Errorf("cannot encode set %s: %w", s.Name, err)
		}
		if err := inChunks(s.Elements, s, r, t.conn.SetAddElements); err != nil {
			return err
		}
	}
	for _, c := range want.Chains {
		if err := t.addRules(c); err != nil {
			return err
		}
	}
	if err := t.conn.Flush(); err != nil {
		return fmt.Errorf("cannot install table inet %s: %w", t.name, err)
	}
	return nil
}

func (t *table) addRules(c chain) error {
	ref := t.ref()
	for _, text := range c.Rules {
		exprs, err := compile(text)
		if err != nil {
			return err
		}
		t.conn.AddRule(&nftables.Rule{Table: ref, Chain: &nftables.Chain{Name: c.Name, Table: ref}, Exprs: exprs})
	}
	return nil
}

// remove deletes the table; it is fine when there is none.
func (t *table) remove() error {
	t.elements = nil
	ref := t.ref()
	t.conn.AddTable(ref)
	t.conn.DelTable(ref)
	if err := t.conn.Flush(); err != nil {
		return fmt.Errorf("cannot remove table inet %s: %w", t.name, err)
	}
	return nil
}

// exists says whether the kernel has the table.
func (t *table) exists() (bool, error) {
	tables, err := t.conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, fmt.Errorf("cannot list tables: %w", err)
	}
	for _, k := range tables {
		if k.Name == t.name {
			return true, nil
		}
	}
	return false, nil
}

// read learns the sets' members and says whether everything else is as wanted.
func (t *table) read(want ruleset) (intact bool, err error) {
	t.elements = nil
	ok, err := t.exists()
	if err != nil || !ok {
		return false, err
	}
	if ok, err = t.sameChains(want); err != nil || !ok {
		return false, err
	}
	elements := make(map[string][]element)
	for _, s := range want.Sets {
		if elements[s.Name], err = t.readSet(s); err != nil {
			return false, nil // absent, or not the type it should have
		}
	}
	t.elements = elements
	return true, nil
}

// readSet reads a set's members; a table or set that is not there has none.
func (t *table) readSet(s set) ([]element, error) {
	ref, err := t.set(s)
	if err != nil {
		return nil, err
	}
	if _, err := t.conn.GetSetByName(t.ref(), s.Name); err != nil {
		return nil, err
	}
	found, err := t.conn.GetSetElements(ref)
	if err != nil {
		return nil, fmt.Errorf("cannot read set %s of table %s: %w", s.Name, t.name, err)
	}
	return decodeElements(s, found)
}

func (t *table) sameChains(want ruleset) (bool, error) {
	all, err := t.conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, fmt.Errorf("cannot list chains: %w", err)
	}
	have := make(map[string]*nftables.Chain)
	for _, c := range all {
		if c.Table.Name == t.name {
			have[c.Name] = c
		}
	}
	if len(have) != len(want.Chains) {
		return false, nil
	}
	for _, c := range want.Chains {
		k := have[c.Name]
		ref, err := t.chain(c)
		if err != nil || k == nil || !sameHook(k, ref) {
			return false, err
		}
		if same, err := t.sameRules(c); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func sameHook(have, want *nftables.Chain) bool {
	if want.Hooknum == nil {
		return have.Hooknum == nil
	}
	return have.Hooknum != nil && *have.Hooknum == *want.Hooknum && *have.Priority == *want.Priority &&
		have.Type == want.Type && have.Policy != nil && *have.Policy == nftables.ChainPolicyAccept
}

func (t *table) sameRules(c chain) (bool, error) {
	ref := t.ref()
	rules, err := t.conn.GetRules(ref, &nftables.Chain{Name: c.Name, Table: ref})
	if err != nil {
		return false, fmt.Errorf("cannot read chain %s of table %s: %w", c.Name, t.name, err)
	}
	if len(rules) != len(c.Rules) {
		return false, nil
	}
	for i, r := range rules {
		exprs, err := compile(c.Rules[i])
		if err != nil {
			return false, err
		}
		if !reflect.DeepEqual(normal(r.Exprs), normal(exprs)) {
			return false, nil
		}
	}
	return true, nil
}

// normal drops what the kernel fills in, and what the library cannot read.
func normal(exprs []expr.Any) []expr.Any {
	out := make([]expr.Any, 0, len(exprs))
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Byteorder:
		case *expr.Lookup:
			c := *e
			c.SetID = 0
			out = append(out, &c)
		case *expr.NAT:
			c := *e
			c.RegAddrMax, c.RegProtoMax, c.Specified = 0, 0, false
			out = append(out, &c)
		default:
			out = append(out, e)
		}
	}
	return out
}

// isGone says that an error means "there is none".
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ESRCH) || errors.Is(err, os.ErrNotExist)
}
