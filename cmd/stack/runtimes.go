package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"stack/runtime"
	"stack/runtime/external"
	"stack/runtime/native"
	"stack/runtime/native/metrics"
	"stack/runtime/native/seccomp/profiles"
	"stack/runtime/native/transfer"
	"stack/runtime/vm"
	"stack/scheduler"
	"stack/spec"
)

// runtimes run the containers of a project.
type runtimes struct {
	*vm.Runtime // virtual machines, and all that choice has
	choice      external.Choice
	native      *native.Runtime
	host        *native.Foreign
}

// errMachineFiles is for what works on a container's files from outside.
var errMachineFiles = errors.New("the files of a virtual machine are its own: only cp reaches them, while it runs")

// runtimes opens a project's; o needs neither Root nor Stats.
func (a *app) runtimes(s *scheduler.Store, o native.Options) *runtimes {
	o.Root, o.Stats = s.Containers(), metrics.Read
	c := &runtimes{native: native.New(o), host: &native.Foreign{ReadStats: metrics.Read}}
	others := external.Options{Root: s.ForeignContainers(), Host: c.host, Log: o.Log}
	shim := "stack-shim"
	if self, err := os.Executable(); err == nil {
		shim = filepath.Join(filepath.Dir(self), shim)
		others.Parent = []string{shim, "parent"}
	}
	c.choice = external.Choice{Native: c.native, Others: external.New(others)}
	c.Runtime = vm.New(vm.Options{
		Root: s.Machines(), Home: s.Layout.VM(), Containers: &c.choice, Shim: shim,
		Seccomp: profiles.Default, Log: o.Log,
	})
	return c
}

// Root opens the file system that a container's first process sees; see
// native.Runtime.Root.
func (c *runtimes) Root(ctx context.Context, id string) (*transfer.Root, error) {
	if c.Machine(id) {
		return nil, errMachineFiles
	}
	if !c.choice.Foreign(id) {
		return c.native.Root(ctx, id)
	}
	p, err := c.choice.Others.First(ctx, id)
	if err != nil {
		return nil, err
	}
	return c.host.Root(p.Pid, p.StartTime, p.UIDs, p.GIDs)
}

// Bare opens it without what is mounted; see native.Runtime.Bare.
func (c *runtimes) Bare(ctx context.Context, id string) (*transfer.Root, error) {
	if c.Machine(id) {
		return nil, errMachineFiles
	}
	if !c.choice.Foreign(id) {
		return c.native.Bare(ctx, id)
	}
	p, err := c.choice.Others.First(ctx, id)
	if err != nil {
		return nil, err
	}
	return c.host.Bare(p.Pid, p.StartTime, p.UIDs, p.GIDs)
}

func runtimeFlag(f *pflag.FlagSet, name *string) {
	f.StringVar(name, "runtime", "", "OCI runtime for services that name none: runc, crun, runsc or a path")
}

// useRuntime gives the services that name no runtime that one.
func useRuntime(st *spec.Stack, name string) {
	for key, svc := range st.Services {
		if svc.Runtime == "" {
			svc.Runtime = name
			st.Services[key] = svc
		}
	}
}

// Rewrite changes files in a container; see native.Runtime.Rewrite. A foreign runtime's
// and a virtual machine are made anew when they change (spec.Stack.RecreateHash), so
// that in a running one they have not.
func (c *runtimes) Rewrite(ctx context.Context, id string, files []runtime.File) ([]string, error) {
	if c.Machine(id) || c.choice.Foreign(id) {
		return nil, nil
	}
	return c.native.Rewrite(ctx, id, files)
}
