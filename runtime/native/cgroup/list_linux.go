package cgroup

import (
	"fmt"
	"path"
	"slices"
)

// List names the groups directly below prefix, such as /stack/PROJECT, in any
// hierarchy: a crash may have left a group in some of them. Nothing there is an
// empty list.
func List(prefix string) ([]string, error) {
	h, err := machine()
	if err != nil {
		return nil, err
	}
	return h.List(prefix)
}

// RemoveAll kills every process below prefix and removes every group there,
// prefix and the empty directories above it included. It is idempotent, and
// refuses while this process is in one of the groups (ErrBusy).
func RemoveAll(prefix string) error {
	h, err := machine()
	if err != nil {
		return err
	}
	return h.RemoveAll(prefix)
}

// List is the function of that name for this host.
func (h *Host) List(prefix string) ([]string, error) {
	if err := checkPath(prefix); err != nil {
		return nil, err
	}
	var groups []string
	for _, dir := range h.group(prefix, true).tree.dirs() {
		subs, err := subgroups(dir)
		if err != nil && !gone(err) {
			return nil, fmt.Errorf("cannot list cgroups below %q: %w", prefix, err)
		}
		for _, s := range subs {
			groups = append(groups, prefix+"/"+path.Base(s))
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// RemoveAll is the function of that name for this host.
func (h *Host) RemoveAll(prefix string) error {
	if err := checkPath(prefix); err != nil {
		return err
	}
	g := h.group(prefix, true)
	if err := g.Kill(); err != nil {
		return err
	}
	return g.Delete()
}
