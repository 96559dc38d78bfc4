package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"stack/runtime"
	"stack/runtime/native"
	"stack/runtime/native/transfer"
	"stack/runtime/vm"
	"stack/scheduler"
)

// isMachine reports whether a container is a virtual machine, running or not: it has a
// disk in the place of a layer.
func (a *app) isMachine(s *scheduler.Store, i *scheduler.Instance) bool {
	_, err := os.Stat(filepath.Join(s.LayerDir(i.ID), vm.DiskName))
	return err == nil
}

// machine gives the runtime of a machine that runs.
func (c *copying) machine(ctx context.Context, i *scheduler.Instance) (*runtimes, error) {
	rt := c.a.runtimes(c.store, native.Options{})
	st, err := rt.State(ctx, i.ID)
	if err != nil && !ended(err) {
		return nil, err
	}
	switch {
	case err != nil, st.Status == runtime.Stopped, st.Status == runtime.StatusCreated:
		return nil, fmt.Errorf("container %s is a virtual machine that does not run: its files are on its disk; start it to copy", i.Name)
	case st.Status == runtime.Paused:
		return nil, fmt.Errorf("container %s is paused: unpause it to copy", i.Name)
	}
	return rt, nil
}

// outOfMachine is out for a virtual machine.
func (c *copying) outOfMachine(ctx context.Context, i *scheduler.Instance, from, to string) error {
	rt, err := c.machine(ctx, i)
	if err != nil {
		return err
	}
	tree, err := rt.Pack(ctx, i.ID, from, c.follow, to == "-")
	if err != nil {
		return fmt.Errorf("container %s: %w", i.Name, err)
	}
	defer tree.Close()
	if to == "-" {
		_, err := tree.WriteTo(c.a.stdout)
		return err
	}
	read := func(_ context.Context, w io.Writer) error {
		_, err := tree.WriteTo(w)
		return err
	}
	return c.ontoHost(ctx, i, &transfer.Source{Base: tree.Base, Dir: tree.Dir, Contents: tree.Contents}, to, read)
}

// intoMachines is in for a service of virtual machines.
func (c *copying) intoMachines(ctx context.Context, list []*scheduler.Instance, src *transfer.Source, to string) error {
	var shape *vm.Shape
	if src != nil {
		shape = &vm.Shape{Base: src.Base, Dir: src.Dir, Contents: src.Contents}
	}
	var sinks []sink
	for _, i := range list {
		rt, err := c.machine(ctx, i)
		if err != nil {
			return err
		}
		tree, err := rt.Unpack(ctx, i.ID, to, shape, c.archive)
		if err != nil {
			return fmt.Errorf("container %s: %w", i.Name, err)
		}
		defer tree.Close()
		sinks = append(sinks, func(_ context.Context, stream io.Reader) error { return tree.Fill(stream, c.warn) })
	}
	return c.spread(ctx, c.reader(src), sinks, list)
}
