package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
	"stack/runtime/cdi"
	"stack/runtime/external"
	"stack/runtime/image"
	"stack/runtime/native"
	"stack/runtime/native/rootfs"
	"stack/runtime/native/seccomp"
	"stack/runtime/native/seccomp/profiles"
	"stack/runtime/quota"
	"stack/scheduler"
	"stack/spec"
)

// preflight asks the machine about everything that services need and the file
// cannot tell, so that a command fails before anything is made; nil means all.
// c says how. Findings are returned as spec.Diagnostics.
func (a *app) preflight(ctx context.Context, st *spec.Stack, services []string, c scheduler.Command) error {
	if os.Geteuid() != 0 {
		return nil // connect says so, and ports below 1024 would look taken
	}
	s := a.storeOf(st.Name)
	host, err := netns.Open(netns.Options{State: s.Layout.Networks(), Project: s.Project})
	if err != nil {
		return err
	}
	defer host.Close()
	if services, err = involved(st, services, c.NoDeps); err != nil {
		return err
	}
	found, err := scheduler.Preflight(ctx, st, services, machinery{scheduler.HostNetwork{Host: host}, ctx, a}, s)
	if err != nil {
		return err
	}
	if c.Strict {
		found = append(found, s.Unmappable(st, services)...)
		low, err := scheduler.Unraisable(st, services, native.RefusedLimit)
		if err != nil {
			return err
		}
		found = append(found, low...)
	}
	if len(found) > 0 {
		return found.Sorted()
	}
	return nil
}

// machinery is what preflight asks this machine with.
type machinery struct {
	scheduler.HostNetwork
	ctx context.Context
	a   *app
}

func (machinery) Filesystem(kind string) error { return rootfs.Supports(kind) }

func (m machinery) Quotas() error { return quota.Check(m.a.layout.Lib) }

func (m machinery) Neighbour(container string) (scheduler.Peer, error) {
	return m.a.neighbour(m.ctx, container)
}

// Seccomp is asked about the path of a file only where the load could not read it.
func (machinery) Seccomp(profile string) error {
	if spec.InlineProfile(profile) {
		return checkSeccomp("seccomp profile", profile)
	}
	b, err := os.ReadFile(profile)
	if err != nil {
		return fmt.Errorf("cannot read seccomp profile: %w", err)
	}
	name := "seccomp profile " + profile
	if err := checkSeccomp(name, string(b)); err != nil {
		return err
	}
	return fmt.Errorf("%s changed while it was read: try again", name)
}

func checkSeccomp(name, text string) error {
	p, err := parseSeccomp(text, nil)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	if _, err = seccomp.Compile(p); err != nil {
		return fmt.Errorf("cannot use %s: %w", name, err)
	}
	return nil
}

// parseSeccomp makes a profile's text one for a container with caps.
func parseSeccomp(text string, caps []string) (*scheduler.Seccomp, error) {
	return profiles.Parse([]byte(text), caps)
}

func (machinery) Facts() scheduler.Facts {
	f := scheduler.Facts{Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Memory: machineMemory()}
	entries, _ := filepath.Glob("/proc/sys/fs/binfmt_misc/*")
	for _, name := range entries {
		if b, err := os.ReadFile(name); err == nil { // register can only be written
			f.Interpreters = append(f.Interpreters, string(b))
		}
	}
	return f
}

func (machinery) Runtime(name string) error {
	if external.Native(name) {
		return nil
	}
	_, err := external.Find(name)
	return err
}

func (m machinery) Vendors() *cdi.Registry { return cdi.Load(m.a.cdiDirs()) }

// cdiDirs are the directories of CDI specifications; STACK_CDI_DIRS names others.
func (a *app) cdiDirs() []string {
	if dirs := a.getenv("STACK_CDI_DIRS"); dirs != "" {
		return filepath.SplitList(dirs)
	}
	return cdi.DefaultDirs()
}

func (m machinery) Images() ([]image.Record, error) {
	store, err := m.a.openImages()
	if err != nil {
		return nil, err
	}
	return store.List()
}

// machineMemory is MemTotal of /proc/meminfo in bytes; 0 where it cannot be read.
func machineMemory() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	var kib int64
	fmt.Sscanf(string(b), "MemTotal: %d kB", &kib)
	return kib << 10
}

// involved are the services that a command on some, or all, may start.
func involved(st *spec.Stack, services []string, noDeps bool) ([]string, error) {
	if len(services) == 0 {
		return st.ServiceNames(), nil
	}
	for _, name := range services {
		if _, ok := st.Services[name]; !ok {
			return nil, st.NoService(name)
		}
	}
	if noDeps {
		return services, nil
	}
	g, err := scheduler.NewGraph(st.Project)
	if err != nil {
		return nil, err
	}
	return g.Closure(services...), nil
}

// scaled is the stack with the replica counts of the command line.
func scaled(st *spec.Stack, scale map[string]int) *spec.Stack {
	for name, n := range scale {
		if svc, ok := st.Services[name]; ok {
			svc.Scale = &n
			svc.Deploy = nil // its replicas would count, its limits are no matter
			st = replaced(st, svc)
		}
	}
	return st
}

// replaced is the stack with another form of one service.
func replaced(st *spec.Stack, svc types.ServiceConfig) *spec.Stack {
	out, project := *st, *st.Project
	project.Services = maps.Clone(st.Services)
	project.Services[svc.Name] = svc
	out.Project = &project
	return &out
}
