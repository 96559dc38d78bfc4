package main

import (
	"context"
	"errors"
	"fmt"

	"stack/runtime"
	"stack/runtime/image"
	"stack/runtime/native"
	"stack/runtime/native/transfer"
	"stack/scheduler"
)

// opened is a container's file system.
type opened struct {
	*transfer.Root
	instance *scheduler.Instance
	shut     func() error
}

// openFiles gives a container's files: as its processes see them, or, of one that does
// not run, as they would.
func (a *app) openFiles(ctx context.Context, s *scheduler.Store, i *scheduler.Instance) (*opened, error) {
	if a.isMachine(s, i) {
		return nil, fmt.Errorf("container %s: %w", i.Name, errMachineFiles)
	}
	rt := a.runtimes(s, native.Options{})
	root, err := rt.Root(ctx, i.ID)
	if err == nil {
		return &opened{root, i, func() error { return nil }}, nil
	}
	if !ended(err) {
		return nil, err
	}
	images, err := image.Open(s.Layout.Images(), nil)
	if err != nil {
		return nil, err
	}
	b, err := s.FilesBundle(ctx, images, i)
	if err != nil {
		return nil, err
	}
	if st, err := rt.State(ctx, i.ID); err == nil && st.Status == runtime.Stopped {
		if err := rt.Delete(ctx, i.ID, false); err != nil && !ended(err) {
			return nil, err
		}
	}
	b.Runtime = "" // the native one shows its files
	made, err := rt.Create(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("cannot open the files of container %s: %w", i.Name, err)
	}
	made.PidFD.Close()
	shut := func() error {
		if err := rt.Delete(context.WithoutCancel(ctx), i.ID, true); err != nil && !ended(err) {
			return fmt.Errorf("cannot close the files of container %s: %w", i.Name, err)
		}
		return nil
	}
	if root, err = rt.Root(ctx, i.ID); err != nil {
		return nil, errors.Join(err, shut())
	}
	return &opened{root, i, shut}, nil
}

func (o *opened) close() error {
	o.Root.Close()
	return o.shut()
}
