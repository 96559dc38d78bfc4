package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stack/runtime/image"
)

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
