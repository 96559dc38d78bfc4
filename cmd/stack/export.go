package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"stack/runtime/native"
	"stack/runtime/native/transfer"
	"stack/scheduler"
)

type exportOptions struct {
	index  int
	output string
}

func newExport(a *app) *cobra.Command {
	o := &exportOptions{}
	cmd := &cobra.Command{
		Use:   "export [OPTIONS] SERVICE",
		Short: "Write the files of a service's container as a tar archive",
		Long:  "Write the files of a service's container as a tar archive: those of its image and what it changed, without volumes and other mounts.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withReplica(cmd.Context(), args[0], o.index, func(c scheduler.Container) error {
				return runExport(cmd.Context(), a, o, c)
			})
		},
	}
	cmd.Flags().IntVar(&o.index, "index", 0, "replica number")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "file to write instead of standard output")
	return cmd
}

func newContainerExport(a *app) *cobra.Command {
	o := &exportOptions{}
	cmd := &cobra.Command{
		Use:   "export [OPTIONS] CONTAINER",
		Short: "Write a container's files as a tar archive",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.findOne(args[0])
			if err != nil {
				return err
			}
			return runExport(cmd.Context(), a, o, c)
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "file to write instead of standard output")
	return cmd
}

// withReplica finds one container of a service of the project.
func (a *app) withReplica(ctx context.Context, service string, index int, f func(scheduler.Container) error) error {
	if err := a.root(); err != nil {
		return err
	}
	s, err := a.store(ctx)
	if err != nil {
		return err
	}
	list, err := (&cpOptions{index: index}).containers(ctx, a, s, service)
	if err != nil {
		return err
	}
	return f(scheduler.Container{Store: s, Instance: list[0]})
}

func runExport(ctx context.Context, a *app, o *exportOptions, of scheduler.Container) error {
	if o.output == "" && isTerminal(a.stdout) {
		return errors.New("an archive is nothing for a terminal: redirect standard output, or use --output")
	}
	box, err := a.openFiles(ctx, of.Store, of.Instance)
	if err != nil {
		return err
	}
	err = a.writeOutput(o.output, func(w io.Writer) error {
		bare, err := a.runtimes(of.Store, native.Options{}).Bare(ctx, of.ID)
		if err != nil {
			return err
		}
		defer bare.Close()
		return packLayer(ctx, bare, w, transfer.LayerOptions{})
	})
	if err = errors.Join(err, box.close()); err != nil {
		return fmt.Errorf("cannot export: %w", err)
	}
	return nil
}

func packLayer(ctx context.Context, root *transfer.Root, w io.Writer, o transfer.LayerOptions) error {
	src, err := root.Source("/", false)
	if err != nil {
		return err
	}
	defer src.Close()
	return src.PackLayer(ctx, w, o)
}
