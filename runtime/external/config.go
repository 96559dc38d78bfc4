package external

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// initAnnotation, set to "true", puts a reaper before the user's program.
const initAnnotation = "stack.init"

// configVersion is the oldest that has everything: crun refuses what is newer than
// itself.
const configVersion = "1.0.2"

// config is the specification that the program gets: the staged root and mounts, the
// mappings of the user namespace also where it is joined, and the launcher, if its
// descriptor is above 2. It changes nothing that b refers to.
func config(b *runtime.Bundle, staged runtime.Staged, rec *record, launcher string) *specs.Spec {
	s := *b.Spec
	s.Version = configVersion
	s.Root = &specs.Root{Path: staged.Root, Readonly: staged.Readonly}
	s.Mounts = staged.Mounts
	s.Domainname = "" // set from outside: not every runtime knows it
	linux := *s.Linux
	linux.CgroupsPath = rec.Cgroup
	if rec.UserNS {
		linux.UIDMappings, linux.GIDMappings = rec.UIDs, rec.GIDs
	}
	if p := rootPropagation(staged.Mounts); p != "" && linux.RootfsPropagation == "" {
		linux.RootfsPropagation = p
	}
	s.Linux = &linux
	s.Process = launched(s.Process, launcher)
	return &s
}

// launched is p with another program.
func launched(p *specs.Process, launcher string) *specs.Process {
	out := *p
	if launcher != "" {
		out.Args = []string{launcher}
	}
	return &out
}

// rootPropagation is what the root needs for mounts that share events with the host.
func rootPropagation(mounts []specs.Mount) string {
	has := func(word string) bool {
		return slices.ContainsFunc(mounts, func(m specs.Mount) bool {
			return slices.Contains(m.Options, word) || slices.Contains(m.Options, "r"+word)
		})
	}
	switch {
	case has("shared"):
		return "shared"
	case has("slave"):
		return "slave"
	}
	return ""
}

// userNamespace finds the container's, and the path of one that it joins.
func userNamespace(l *specs.Linux) (path string, ok bool) {
	n := slices.IndexFunc(l.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.UserNamespace })
	if n < 0 {
		return "", false
	}
	return l.Namespaces[n].Path, true
}

// hasProc says whether the container sees /proc, through which a launcher is
// executed.
func hasProc(s *specs.Spec) bool {
	return slices.ContainsFunc(s.Mounts, func(m specs.Mount) bool {
		return strings.TrimRight(m.Destination, "/") == "/proc" && m.Type == "proc"
	})
}

func cgroupPath(id, asked string) string {
	if asked == "" {
		return "/stack/" + id
	}
	return "/" + strings.TrimPrefix(asked, "/")
}
