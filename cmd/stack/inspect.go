package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"stack/netns"
	"stack/runtime/image"
	"stack/scheduler"
)

// newInspect shows objects of any kind.
func newInspect(a *app) *cobra.Command {
	var kind string
	cmd := inspectVerb(a, "inspect NAME...", "Show all that is known of containers, images, networks or volumes",
		func(ctx context.Context, a *app, name string) (any, error) { return inspectAny(ctx, a, kind, name) })
	cmd.Flags().StringVar(&kind, "type", "", "container, image, network or volume")
	return cmd
}

// inspectAny looks for a name among all kinds, in Docker's order.
func inspectAny(ctx context.Context, a *app, kind, name string) (any, error) {
	finders := []struct {
		kind    string
		find    finder
		missing error
	}{
		{"container", inspectContainer, scheduler.ErrNoContainer},
		{"image", inspectImage, image.ErrNotFound},
		{"network", inspectNetwork, netns.ErrNotFound},
		{"volume", inspectVolume, errNoVolume},
	}
	known := kind == ""
	for _, f := range finders {
		if kind != "" && kind != f.kind {
			continue
		}
		known = true
		v, err := f.find(ctx, a, name)
		if kind != "" || !errors.Is(err, f.missing) {
			return v, err
		}
	}
	if !known {
		return nil, fmt.Errorf("unknown --type %q: container, image, network or volume", kind)
	}
	return nil, fmt.Errorf("no such object: %s", name)
}
