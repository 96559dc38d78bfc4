package netns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
	"github.com/vishvananda/netlink"
)

// Remove takes away everything of the project: its endpoints, ports, firewall
// table, the accepts in other people's tables, and the networks that no other
// project uses. It needs no record: what carries the project's name goes too.
// Reserved sockets are their holder's to close. Repeating it is fine.
func (h *Host) Remove(ctx context.Context) error {
	if h.o.Project == "" {
		return errors.New("cannot remove a project's network: no project")
	}
	h.applying.Lock()
	defer h.applying.Unlock()
	unlock, err := h.store.lock()
	if err != nil {
		return err
	}
	defer unlock()
	errs := multierror.Append(nil, h.removeSurplus(ctx, nil), h.removeStray(), h.removeUnborn())
	rest, err := h.records()
	if err == nil {
		err = h.restoreForwarding(rest)
	}
	errs = multierror.Append(errs, err, h.removeRules())
	h.mu.Lock()
	for _, r := range h.residents {
		r.Close()
	}
	h.applied, h.live, h.residents = nil, map[string]process{}, map[string]*resident{}
	h.mu.Unlock()
	return errs.ErrorOrNil()
}

// removeRules runs last: until then the table protects what is still there.
func (h *Host) removeRules() error {
	err := h.setAccepts(nil, false)
	h.firewall.Lock()
	defer h.firewall.Unlock()
	there, err2 := h.table.exists()
	if err2 == nil && there {
		err2 = h.table.remove()
	}
	return errorsOf(err, err2)
}

// removeStray deletes links that carry the project's name, whose record was
// lost: endpoints at once, bridges unless another project's links are on them
// or their network is still recorded.
func (h *Host) removeStray() error {
	prefix := aliasPrefix(h.o.Project)
	links, err := dumped(h, h.link.LinkList)
	if err != nil {
		return fmt.Errorf("cannot list links: %w", err)
	}
	records, err := h.records()
	if err != nil {
		return err
	}
	var names []string
	for _, l := range links {
		a := l.Attrs()
		if !strings.HasPrefix(a.Alias, prefix) {
			continue
		}
		if l.Type() == "bridge" && (recorded(records, a.Name) || sharedBridge(links, a.Index, prefix)) {
			continue
		}
		if l.Type() == "ifb" && recordedShaper(records, a.Name) {
			continue
		}
		names = append(names, a.Name)
	}
	return h.deleteLinks(names)
}

// removeUnborn deletes directories of networks whose making a crash cut short
// before their record was written. The machine-wide lock is held.
func (h *Host) removeUnborn() error {
	entries, err := h.store.list()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := e.network(); errors.Is(err, ErrNotFound) {
			if err := e.remove(); err != nil {
				return err
			}
		}
	}
	return nil
}

func recorded(records []record, bridge string) bool {
	return slices.ContainsFunc(records, func(r record) bool { return r.Network.Bridge == bridge })
}

func recordedShaper(records []record, name string) bool {
	return slices.ContainsFunc(records, func(r record) bool {
		return name == shaperName(r.Network.ID, ingress) || name == shaperName(r.Network.ID, egress)
	})
}

func sharedBridge(links []netlink.Link, bridge int, prefix string) bool {
	return slices.ContainsFunc(links, func(l netlink.Link) bool {
		return l.Attrs().MasterIndex == bridge && !strings.HasPrefix(l.Attrs().Alias, prefix)
	})
}
