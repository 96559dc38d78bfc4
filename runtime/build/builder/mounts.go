package builder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// tree is a snapshot as the overlay snapshotter describes it: lower directories, the
// topmost first, and what is written; or one directory alone.
type tree struct {
	lowers      []string
	upper, work string
	dir         string // bound as it is
	readonly    bool
}

func parseTree(m mount.Mount) (tree, error) {
	t := tree{readonly: slices.Contains(m.Options, "ro")}
	switch m.Type {
	case "bind", "rbind":
		t.dir = m.Source
		return t, nil
	case "overlay":
	default:
		return t, fmt.Errorf("a snapshot is of type %s", m.Type)
	}
	for _, o := range m.Options {
		key, value, _ := strings.Cut(o, "=")
		switch key {
		case "lowerdir":
			t.lowers = strings.Split(value, ":")
		case "upperdir":
			t.upper = value
		case "workdir":
			t.work = value
		}
	}
	if len(t.lowers) == 0 {
		return t, fmt.Errorf("a snapshot has no lower directory: %v", m.Options)
	}
	return t, nil
}

// topLayer is the directory of the uppermost changes, "" if it cannot be told.
func topLayer(mounts []mount.Mount) string {
	if len(mounts) != 1 {
		return ""
	}
	t, err := parseTree(mounts[0])
	switch {
	case err != nil:
		return ""
	case t.dir != "":
		return t.dir
	case t.upper != "":
		return t.upper
	}
	return t.lowers[0]
}

// root is the tree as a container's root file system: of layers, or a directory.
func (t tree) root() (runtime.RootFS, string) {
	if t.dir != "" {
		return runtime.RootFS{}, t.dir
	}
	return runtime.RootFS{Lowers: t.lowers, Upper: t.upper, Work: t.work, Mapped: true}, ""
}

// mount is the tree, or what lies in it at a path, among a container's mounts.
// Snapshots have the container's ids on disk.
func (t tree) mount(dest, selector string, readonly, userNS bool) specs.Mount {
	m := specs.Mount{Destination: dest}
	if t.dir != "" {
		m.Type, m.Source, m.Options = "bind", t.dir, []string{"rbind"}
		if userNS {
			m.Options = append(m.Options, "idmap")
		}
	} else {
		m.Type, m.Source = "overlay", "overlay"
		for _, dir := range t.lowers {
			m.Options = append(m.Options, "lowerdir+="+dir)
		}
		if t.upper != "" {
			m.Options = append(m.Options, "upperdir="+t.upper, "workdir="+t.work)
		}
	}
	if sub := strings.Trim(selector, "/"); sub != "" && sub != "." {
		m.Options = append(m.Options, "subpath="+sub)
	}
	if readonly || t.readonly {
		m.Options = append(m.Options, "ro")
	}
	return m
}
