package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"stack/runtime/image"
	"stack/runtime/image/registry"
	"stack/spec"
)

type pushOptions struct{ ignoreFailures, deps, quiet bool }

func newPush(a *app) *cobra.Command {
	o := &pushOptions{}
	cmd := &cobra.Command{
		Use:   "push [SERVICE...]",
		Short: "Push the images that services build",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPush(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.ignoreFailures, "ignore-push-failures", false, "push what can be pushed and succeed")
	f.BoolVar(&o.deps, "include-deps", false, "also what the services depend on")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress")
	return cmd
}

func runPush(ctx context.Context, a *app, o *pushOptions, services []string) error {
	st, err := a.loadFor(ctx, services...)
	if err != nil {
		return err
	}
	if services, err = involved(st, services, !o.deps); err != nil {
		return err
	}
	if err := requireRoot(); err != nil {
		return err
	}
	t := newImageTransfer(a, o.quiet)
	names := o.choose(t, st, services)
	if len(names) == 0 {
		return nil
	}
	store, err := a.openImages()
	if err != nil {
		return err
	}
	client, err := a.registry()
	if err != nil {
		return err
	}
	err = t.each(ctx, names, func(ctx context.Context, name string) error {
		return t.push(ctx, store, client, name, nil)
	})
	if o.ignoreFailures && ctx.Err() == nil {
		return nil
	}
	return err
}

// choose tells which services have nothing to push and gives the names of the
// others' images, each once.
func (o *pushOptions) choose(t *imageTransfer, st *spec.Stack, services []string) []string {
	var names []string
	for _, name := range services {
		svc := st.Services[name]
		if svc.Build == nil || svc.Image == "" {
			t.say(name, "Skipped", "No image to be pushed")
			continue
		}
		for _, ref := range append([]string{svc.Image}, svc.Build.Tags...) {
			if !slices.Contains(names, ref) {
				names = append(names, ref)
			}
		}
	}
	return names
}

// push sends one image and shows it; done is told what the registry has then.
func (t *imageTransfer) push(ctx context.Context, store *image.Store, to *registry.Client, name string, done func(digest string, size int64)) error {
	t.say(name, "Pushing", "")
	left := leftBehind(store, name)
	d, err := store.Push(ctx, to, name, t.layer(name))
	if err != nil {
		return err
	}
	t.say(name, "Pushed", left)
	if done != nil {
		done(d.Digest.String(), d.Size)
	}
	return nil
}

// leftBehind says that other platforms of an image, which are not here, do not go with
// it; "" if there are none.
func leftBehind(store *image.Store, name string) string {
	rec, _, err := findImage(store, name)
	if err != nil || rec.Index != nil {
		return ""
	}
	parts, err := store.Parts(rec)
	if err != nil || !slices.ContainsFunc(parts, func(p image.Part) bool { return !p.Here && p.Of == "" }) {
		return ""
	}
	return "(" + rec.OS + "/" + rec.Architecture + " only: its other platforms are not here)"
}
