package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

type attachOptions struct {
	index      int
	noStdin    bool
	detachKeys string
	sigProxy   bool
}

func newAttach(a *app) *cobra.Command {
	o := &attachOptions{}
	cmd := &cobra.Command{
		Use:   "attach [OPTIONS] SERVICE",
		Short: "Connect to the input and output of a running container",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAttach(cmd.Context(), a, o, args[0])
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.index, "index", 0, "replica number")
	f.BoolVar(&o.noStdin, "no-stdin", false, "do not pass on input")
	f.StringVar(&o.detachKeys, "detach-keys", "ctrl-p,ctrl-q", "keys that detach")
	f.BoolVar(&o.sigProxy, "sig-proxy", true, "pass signals on to the program")
	return cmd
}

func runAttach(ctx context.Context, a *app, o *attachOptions, service string) error {
	s, i, err := a.running(ctx, service, o.index)
	if err != nil {
		return err
	}
	if i.Status() == "paused" {
		return fmt.Errorf("container %s is paused: unpause it before attach", i.Name)
	}
	keys, err := parseKeys(o.detachKeys)
	if err != nil {
		return err
	}
	input, err := takesInput(s, i)
	if err != nil {
		return err
	}
	d := &dialogue{a: a, store: s, instance: i, input: input && !o.noStdin, proxy: o.sigProxy, detach: keys}
	end, err := d.run(ctx)
	if err != nil {
		return err
	}
	if end == nil {
		fmt.Fprintln(a.stderr, "detached")
	}
	return code(end)
}

// takesInput reports whether the container was given an input: a terminal, or the
// FIFO that the shim feeds.
func takesInput(s *scheduler.Store, i *scheduler.Instance) (bool, error) {
	if i.TTY {
		return true, nil
	}
	_, err := os.Stat(filepath.Join(s.InstanceDir(i.ID), "stdin"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
