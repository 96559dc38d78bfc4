package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Revive makes sure that a shim lives and has everything this controller knows.
// Afterwards, whatever it returns, the process must exit: the new shim waits for
// that before it starts a fresh controller. All that could be handed over was,
// also when the error tells of something that could not.
func (k *Keeper) Revive(ctx context.Context) error {
	c, err := Ensure(ctx, k.opt)
	if err != nil {
		return fmt.Errorf("cannot replace dead shim: %w", err)
	}
	defer c.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for name, f := range k.files {
		if _, _, ok := splitName(name); !ok {
			errs = append(errs, c.Hold(ctx, name, f))
		}
	}
	// Output first, so that an exit already there finds its streams to drain.
	for id, r := range k.stdios {
		errs = append(errs, k.handStdio(ctx, c, id, r))
	}
	for id, r := range k.adopts {
		errs = append(errs, k.handProcess(ctx, c, id, r))
	}
	return errors.Join(errs...)
}

func (k *Keeper) handProcess(ctx context.Context, c *Client, id string, r Request) error {
	var files []*os.File
	if f := k.files["pidfd/"+id]; f != nil {
		files = append(files, f)
	}
	return withFiles(files, func(fds []int) error {
		pidfd, err := c.adopt(ctx, r, fds)
		if pidfd != nil {
			pidfd.Close()
		}
		return err
	})
}

// handStdio hands over the streams that are still open.
func (k *Keeper) handStdio(ctx context.Context, c *Client, id string, r Request) error {
	var files []*os.File
	r.Streams = nil
	for _, kind := range streamKinds {
		f := k.files[kind+"/"+id]
		if f == nil {
			continue
		}
		files = append(files, f)
		if kind != "tty" {
			r.Streams = append(r.Streams, kind)
		}
	}
	if len(files) == 0 {
		return nil
	}
	return withFiles(files, func(fds []int) error { return c.call(ctx, r, fds, nil) })
}
