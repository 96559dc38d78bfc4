package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stack/runtime/image"
)

func newImageTag(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "tag IMAGE NAME[:TAG]",
		Short: "Give an image one more name",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := a.changeImages()
			if err != nil {
				return err
			}
			return store.Tag(cmd.Context(), absoluteImage(args[0]), args[1])
		},
	}
}

// changeImages opens the store to put something in.
func (a *app) changeImages() (*image.Store, error) {
	if err := requireRoot(); err != nil {
		return nil, err
	}
	return a.openImages()
}

// absoluteImage reads a path in a reference as from the working directory.
func absoluteImage(ref string) string {
	here, err := os.Getwd()
	if err != nil {
		return ref
	}
	return image.Absolute(ref, here)
}

type imageLoadOptions struct {
	input string
	quiet bool
}

func newImageLoad(a *app) *cobra.Command {
	o := &imageLoadOptions{}
	cmd := &cobra.Command{
		Use:   "load [-i FILE|DIRECTORY]",
		Short: "Load images from what docker save writes, or from an OCI layout",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runImageLoad(cmd.Context(), a, o)
		},
	}
	cmd.Flags().StringVarP(&o.input, "input", "i", "", "archive or directory instead of standard input")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "accepted for compatibility: nothing else is printed")
	return cmd
}

func runImageLoad(ctx context.Context, a *app, o *imageLoadOptions) error {
	store, err := a.changeImages()
	if err != nil {
		return err
	}
	from, ok := a.stdin.(*os.File)
	switch {
	case o.input != "":
		if from, err = os.Open(o.input); err != nil {
			return fmt.Errorf("cannot load images: %w", err)
		}
		defer from.Close()
	case !ok || isTerminal(from):
		return errors.New("cannot load images from a terminal: use --input, or send an archive to standard input")
	}
	recs, err := store.Load(ctx, from)
	for _, rec := range recs {
		if rec.Tagged() {
			fmt.Fprintln(a.stdout, "Loaded image:", image.Familiar(rec.Image.Ref))
		} else {
			fmt.Fprintln(a.stdout, "Loaded image ID:", rec.Image.Digest)
		}
	}
	return err
}

func newImageSave(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "save [-o FILE] IMAGE...",
		Short: "Write images as an archive that docker load and OCI tools read",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImageSave(cmd.Context(), a, output, args)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "file instead of standard output")
	return cmd
}

func runImageSave(ctx context.Context, a *app, output string, names []string) error {
	store, err := a.changeImages()
	if err != nil {
		return err
	}
	for i, name := range names {
		names[i] = absoluteImage(name)
	}
	if output == "" {
		if isTerminal(a.stdout) {
			return errors.New("cannot write an archive to a terminal: use --output, or redirect standard output")
		}
		return store.Save(ctx, names, a.stdout)
	}
	f, err := os.CreateTemp(filepath.Dir(output), ".save-")
	if err != nil {
		return fmt.Errorf("cannot save images: %w", err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(store.Save(ctx, names, f), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), output)
}

func newImageImport(a *app) *cobra.Command {
	o := &image.ImportOptions{}
	cmd := &cobra.Command{
		Use:   "import FILE|- [NAME[:TAG]]",
		Short: "Make an image of a root file system in a tar archive",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				o.Name = args[1]
			}
			return runImageImport(cmd.Context(), a, o, args[0])
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.Changes, "change", "c", nil, "instruction of a Dockerfile: CMD, ENV, … (repeatable)")
	f.StringVarP(&o.Comment, "message", "m", "", "comment")
	f.StringVar(&o.Platform, "platform", "", "OS/ARCH[/VARIANT] instead of this machine's")
	return cmd
}

func runImageImport(ctx context.Context, a *app, o *image.ImportOptions, source string) error {
	store, err := a.changeImages()
	if err != nil {
		return err
	}
	from := a.stdin
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		return errors.New("cannot import from an address: fetch the file first")
	}
	if source != "-" {
		f, err := os.Open(source)
		if err != nil {
			return fmt.Errorf("cannot import image: %w", err)
		}
		defer f.Close()
		from = f
	}
	o.Now = time.Now().UTC()
	rec, err := store.Import(ctx, from, *o)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, rec.Image.Digest)
	return nil
}

