package netns

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-multierror"
	"github.com/vishvananda/netlink"
)

// machine is machine.json: what stack changed for the whole machine, so that
// the last network gone can change it back.
type machine struct {
	Version int
	// IPv4 and IPv6 say that stack enabled forwarding, which was off.
	IPv4, IPv6 bool
	// Links4 and Links6 are the links there were then; forwarding between them
	// stays off (by rule), as it was.
	Links4, Links6 []string
	// AcceptRA are the links whose accept_ra was 1 and is 2 now, because with
	// forwarding the kernel ignores router advertisements on the others.
	AcceptRA []string
}

const (
	forward4 = "net/ipv4/ip_forward"
	forward6 = "net/ipv6/conf/all/forwarding"
)

func (s *store) machinePath() string { return filepath.Join(s.dir, "machine.json") }

func (s *store) readMachine() (machine, error) {
	var m machine
	b, err := os.ReadFile(s.machinePath())
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("cannot read network state: %w", err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("cannot read %s: %w", s.machinePath(), err)
	}
	return m, nil
}

// planForwarding records the forwarding that is about to be enabled, before the
// firewall is made that keeps other links apart and long before it is enabled.
// The machine-wide lock is held.
func (h *Host) planForwarding(networks []Network, v *kernelView) (machine, error) {
	m, err := h.store.readMachine()
	if err != nil {
		return m, err
	}
	before := m.IPv4 || m.IPv6
	need4, need6 := needsForwarding(networks)
	grew := false
	if need4 && !m.IPv4 && h.isOff(forward4) {
		m.IPv4, m.Links4, grew = true, h.foreignLinks(v, nil), true
	}
	if need6 && h.ipv6 && !m.IPv6 && h.isOff(forward6) {
		m.IPv6, m.Links6, grew = true, h.foreignLinks(v, nil), true
		m.AcceptRA = h.acceptingRA(m.Links6)
	}
	if grew {
		m.Version = 1
		return m, writeJSON(h.store.machinePath(), m)
	}
	if !before {
		return machine{}, nil
	}
	return m, nil
}

func needsForwarding(networks []Network) (v4, v6 bool) {
	for _, n := range networks {
		if !n.Internal {
			v4, v6 = true, v6 || n.IPv6
		}
	}
	return v4, v6
}

// foreignLinks lists the links that are not stack's: those already recorded, and
// what looks like a way off the machine. A bridge or tunnel that somebody makes
// after stack enabled forwarding finds it enabled, as it may well expect.
func (h *Host) foreignLinks(v *kernelView, recorded []string) []string {
	var out []string
	for name, l := range v.byName {
		switch {
		case name == "lo" || isOurs(l.Attrs().Alias):
		case recorded == nil || slices.Contains(recorded, name) || isUplink(l):
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func isUplink(l netlink.Link) bool {
	switch l.Type() {
	case "device", "vlan", "bond", "team", "macvlan", "ipvlan":
		return true
	}
	return false
}

// isOurs recognises the alias of any project's link.
func isOurs(alias string) bool { return len(alias) > 6 && alias[:6] == "stack " }

func (h *Host) acceptingRA(links []string) (out []string) {
	_ = h.run(h.space, func() error {
		for _, name := range links {
			if v, err := readSysctl(acceptRA(name)); err == nil && v == "1" {
				out = append(out, name)
			}
		}
		return nil
	})
	return out
}

func acceptRA(link string) string { return filepath.Join("net/ipv6/conf", link, "accept_ra") }

// foreign is what the firewall has to keep apart.
func (h *Host) foreign(m machine, v *kernelView) (f foreign) {
	if m.IPv4 {
		f.IPv4 = h.foreignLinks(v, append([]string{}, m.Links4...))
	}
	if m.IPv6 {
		f.IPv6 = h.foreignLinks(v, append([]string{}, m.Links6...))
	}
	return f
}

// enableForwarding follows the plan; the firewall is in place.
func (h *Host) enableForwarding(m machine) error {
	return h.run(h.space, func() error {
		var errs *multierror.Error
		if m.IPv4 {
			errs = multierror.Append(errs, ensureSysctl(forward4, "1"))
		}
		if m.IPv6 {
			for _, name := range m.AcceptRA {
				if err := ensureSysctl(acceptRA(name), "2"); err != nil && !isGone(err) {
					errs = multierror.Append(errs, err)
				}
			}
			errs = multierror.Append(errs, ensureSysctl(forward6, "1"))
		}
		return errs.ErrorOrNil()
	})
}

// restoreForwarding undoes enableForwarding when no network needs it any more,
// unless somebody's bridge came meanwhile and may rely on it. The machine-wide
// lock is held; tables that keep links apart are still in place.
func (h *Host) restoreForwarding(rest []record) error {
	m, err := h.store.readMachine()
	if err != nil || !m.IPv4 && !m.IPv6 {
		return err
	}
	for _, r := range rest {
		if !r.Network.Internal && slices.ContainsFunc(r.Owners, func(o string) bool { return o != "" }) {
			return nil
		}
	}
	v, err := h.look()
	if err != nil {
		return err
	}
	err = h.run(h.space, func() error {
		var errs *multierror.Error
		if m.IPv4 && !newcomers(v, m.Links4) {
			errs = multierror.Append(errs, ensureSysctl(forward4, "0"))
		}
		if m.IPv6 && !newcomers(v, m.Links6) {
			errs = multierror.Append(errs, ensureSysctl(forward6, "0"))
			for _, name := range m.AcceptRA {
				if err := ensureSysctl(acceptRA(name), "1"); err != nil && !isGone(err) {
					errs = multierror.Append(errs, err)
				}
			}
		}
		return errs.ErrorOrNil()
	})
	if err != nil {
		return err
	}
	if err := os.Remove(h.store.machinePath()); err != nil {
		return fmt.Errorf("cannot remove network state: %w", err)
	}
	return nil
}

// newcomers says whether a virtual link appeared that is not stack's.
func newcomers(v *kernelView, known []string) bool {
	for name, l := range v.byName {
		if l.Type() == "bridge" && !isOurs(l.Attrs().Alias) && !slices.Contains(known, name) {
			return true
		}
	}
	return false
}
