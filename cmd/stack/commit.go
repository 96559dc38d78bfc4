package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stack/runtime/image"
	"stack/runtime/native/rootfs"
	"stack/runtime/native/transfer"
	"stack/scheduler"
)

type commitOptions struct {
	image.CommitOptions
	index int
	pause bool
}

const commitLong = `Make an image of a container: its image, with what the container changed as one more
layer. Volumes and other mounts are not part of it, and neither are the settings of
the service: --change sets what the image is to say.`

func newCommit(a *app) *cobra.Command {
	o := &commitOptions{}
	cmd := &cobra.Command{
		Use:   "commit [OPTIONS] SERVICE [REPOSITORY[:TAG]]",
		Short: "Make an image of a service's container",
		Long:  commitLong,
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withReplica(cmd.Context(), args[0], o.index, func(c scheduler.Container) error {
				return runCommit(cmd.Context(), a, o, c, args[1:])
			})
		},
	}
	o.add(cmd.Flags())
	cmd.Flags().IntVar(&o.index, "index", 0, "replica number")
	return cmd
}

func newContainerCommit(a *app) *cobra.Command {
	o := &commitOptions{}
	cmd := &cobra.Command{
		Use:   "commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
		Short: "Make an image of a container",
		Long:  commitLong,
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.findOne(args[0])
			if err != nil {
				return err
			}
			return runCommit(cmd.Context(), a, o, c, args[1:])
		},
	}
	o.add(cmd.Flags())
	return cmd
}

func (o *commitOptions) add(f *pflag.FlagSet) {
	f.StringVarP(&o.Author, "author", "a", "", "who made it, as NAME <ADDRESS>")
	f.StringArrayVarP(&o.Changes, "change", "c", nil, "instruction of a Dockerfile: CMD, ENV, … (repeatable)")
	f.StringVarP(&o.Comment, "message", "m", "", "comment")
	f.BoolVarP(&o.pause, "pause", "p", true, "freeze the container meanwhile")
}

func runCommit(ctx context.Context, a *app, o *commitOptions, of scheduler.Container, name []string) error {
	if len(name) > 0 {
		o.Name = name[0]
	}
	o.Now = time.Now().UTC()
	if a.isMachine(of.Store, of.Instance) {
		return fmt.Errorf("container %s: %w", of.Name, errMachineFiles)
	}
	images, err := a.changeImages()
	if err != nil {
		return err
	}
	if o.pause && of.State == scheduler.StateRunning {
		thaw, err := a.freeze(ctx, of)
		if err != nil {
			return err
		}
		defer thaw()
	}
	layer, w := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		w.CloseWithError(a.packChanges(ctx, of, w))
	}()
	base := of.Digest
	if !image.IsRegistry(of.Image) {
		base = of.Image // a path: the store need not have it
	}
	rec, err := images.Commit(ctx, base, layer, o.CommitOptions)
	layer.CloseWithError(errStopped)
	<-packed
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, rec.Image.Digest)
	return nil
}

// freeze pauses a container until thaw is called.
func (a *app) freeze(ctx context.Context, of scheduler.Container) (thaw func(), err error) {
	send := func(ctx context.Context, v scheduler.Verb) error {
		return a.send(ctx, of.Store, scheduler.Command{Verb: v, Containers: []string{of.ID}}, quietly)
	}
	return func() {
		if err := send(context.WithoutCancel(ctx), scheduler.VerbUnpause); err != nil {
			fmt.Fprintf(a.stderr, "warning: container %s is still paused: %v\n", of.Name, err)
		}
	}, send(ctx, scheduler.VerbPause)
}

// packChanges writes what a container changed of its image's files as a layer.
func (a *app) packChanges(ctx context.Context, of scheduler.Container, w io.Writer) error {
	dir := of.Store.LayerDir(of.ID)
	if err := rootfs.ProbeOverlay(dir); errors.Is(err, rootfs.ErrUnfit) {
		return fmt.Errorf("what container %s changed is kept in memory only: %w", of.Name, err)
	} else if err != nil {
		return err
	}
	box, err := a.openFiles(ctx, of.Store, of.Instance)
	if err != nil {
		return err
	}
	upper, err := transfer.HostDirectory(filepath.Join(dir, "upper"))
	if err == nil {
		changed := box.Like(upper)
		defer changed.Close()
		// What something is mounted over is a place for the mount.
		err = packLayer(ctx, changed, w, transfer.LayerOptions{Upper: true, Skip: box.Mounted})
	}
	return errors.Join(err, box.close())
}
