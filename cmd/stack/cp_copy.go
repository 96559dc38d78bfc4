package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"stack/runtime/native/transfer"
	"stack/scheduler"
)

// copying is one cp under way.
type copying struct {
	a *app
	*cpOptions
	store *scheduler.Store
}

func (c *copying) warn(text string) { fmt.Fprintln(c.a.stderr, "warning: "+text) }

func (c *copying) unpack() transfer.UnpackOptions {
	return transfer.UnpackOptions{Keep: c.archive, Warn: c.warn}
}

// out copies from a container to this machine, or as an archive to standard output.
func (c *copying) out(ctx context.Context, i *scheduler.Instance, from, to string) (err error) {
	if to == "-" && isTerminal(c.a.stdout) {
		return errors.New("an archive is nothing for a terminal: redirect standard output")
	}
	if c.a.isMachine(c.store, i) {
		return c.outOfMachine(ctx, i, from, to)
	}
	box, err := c.a.openFiles(ctx, c.store, i)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.close()) }()
	src, err := box.Source(from, c.follow)
	if err != nil {
		return fmt.Errorf("container %s: %w", i.Name, err)
	}
	defer src.Close()
	if to == "-" {
		top := src.Base
		if src.Contents {
			top = "."
		}
		return src.Pack(ctx, top, c.a.stdout)
	}
	return c.ontoHost(ctx, i, src, to, c.reader(src))
}

// ontoHost copies what read gives, of the shape of src, to a path of this machine.
func (c *copying) ontoHost(ctx context.Context, i *scheduler.Instance, src *transfer.Source, to string, read func(context.Context, io.Writer) error) error {
	host, err := transfer.Host()
	if err != nil {
		return err
	}
	defer host.Close()
	if to, err = hostPath(to); err != nil {
		return err
	}
	target, err := host.Target(to, src)
	if err != nil {
		return err
	}
	defer target.Close()
	return c.spread(ctx, read, []sink{c.sinkOf(target)}, []*scheduler.Instance{i})
}

// in copies into every container of list.
func (c *copying) in(ctx context.Context, list []*scheduler.Instance, from, to string) (err error) {
	var src *transfer.Source
	if from != "-" {
		host, err := transfer.Host()
		if err != nil {
			return err
		}
		defer host.Close()
		if from, err = hostPath(from); err != nil {
			return err
		}
		if src, err = host.Source(from, c.follow); err != nil {
			return err
		}
		defer src.Close()
	}
	if len(list) > 0 && c.a.isMachine(c.store, list[0]) {
		return c.intoMachines(ctx, list, src, to)
	}
	var boxes []*opened
	defer func() {
		for _, box := range boxes {
			err = errors.Join(err, box.close())
		}
	}()
	var targets []sink
	for _, i := range list {
		box, err := c.a.openFiles(ctx, c.store, i)
		if err != nil {
			return err
		}
		boxes = append(boxes, box)
		target, err := place(box, to, src)
		if err != nil {
			return fmt.Errorf("container %s: %w", i.Name, err)
		}
		defer target.Close()
		targets = append(targets, c.sinkOf(target))
	}
	return c.spread(ctx, c.reader(src), targets, list)
}

// place finds where a copy goes; an archive from elsewhere needs a directory.
func place(box *opened, to string, src *transfer.Source) (*transfer.Target, error) {
	if src == nil {
		return box.Directory(to)
	}
	return box.Target(to, src)
}

// errStopped ends the reading of a source when one of its copies failed.
var errStopped = errors.New("stopped")

// spread copies one source, or the archive on standard input, to all targets at the
// same time.
func (c *copying) spread(ctx context.Context, read func(context.Context, io.Writer) error, targets []sink, list []*scheduler.Instance) error {
	group, ctx := errgroup.WithContext(ctx)
	var writers []io.Writer
	var ends []*io.PipeWriter
	p := newProgress(c.a)
	for _, fill := range targets {
		r, w := io.Pipe()
		writers, ends = append(writers, w), append(ends, w)
		group.Go(func() error {
			err := fill(ctx, r)
			r.CloseWithError(errStopped)
			if err != nil {
				err = fmt.Errorf("cannot copy: %w", err)
			}
			return err
		})
	}
	group.Go(func() error {
		err := read(ctx, io.MultiWriter(writers...))
		for _, w := range ends {
			w.CloseWithError(err)
		}
		if errors.Is(err, errStopped) {
			return nil // the writer tells why
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	for _, i := range list {
		p.show(scheduler.Reply{Event: &scheduler.Event{Type: "container", Name: i.Name, Progress: "Copied"}})
	}
	return nil
}

// reader gives a source, or the archive on standard input, as a tar stream.
func (c *copying) reader(src *transfer.Source) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		if src == nil {
			_, err := io.Copy(w, c.a.stdin)
			return err
		}
		return src.Pack(ctx, ".", w)
	}
}

// sink takes a tar stream to its end.
type sink func(ctx context.Context, stream io.Reader) error

func (c *copying) sinkOf(t *transfer.Target) sink {
	return func(ctx context.Context, stream io.Reader) error {
		err := t.Unpack(ctx, stream, c.unpack())
		if err == nil {
			_, err = io.Copy(io.Discard, stream) // padding
		}
		return err
	}
}
