package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"stack/runtime/image"
	"stack/spec"
)

// pinImages completes the names of the services' images with the digests that their
// registries have under them now.
func (a *app) pinImages(ctx context.Context, st *spec.Stack) error {
	client, err := a.registry()
	if err != nil {
		return err
	}
	var (
		g    errgroup.Group
		mu   sync.Mutex
		errs []error
	)
	g.SetLimit(parallelImages)
	for _, name := range slices.Sorted(slices.Values(st.ServiceNames())) {
		svc := st.Services[name]
		if svc.Image == "" || strings.Contains(svc.Image, "@") {
			continue
		}
		g.Go(func() error {
			full, ok := image.Complete(svc.Image)
			var err error
			if !ok {
				err = errors.New("it does not come from a registry")
			} else {
				d, rerr := client.Resolve(ctx, full)
				full, err = full+"@"+d.Digest.String(), rerr
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("service %q: cannot resolve the digest of image %s: %w", name, svc.Image, err))
				return nil
			}
			svc.Image = full
			st.Services[name] = svc
			return nil
		})
	}
	g.Wait()
	return errors.Join(errs...)
}

// writeLock prints an override that names the images by digest and says nothing else.
func (o *configOptions) writeLock(ctx context.Context, a *app, w io.Writer, st *spec.Stack) error {
	if err := a.pinImages(ctx, st); err != nil {
		return err
	}
	images := map[string]any{}
	for name, svc := range st.Services {
		if svc.Image != "" {
			images[name] = map[string]string{"image": svc.Image}
		}
	}
	text, err := json.Marshal(map[string]any{"services": images})
	if err != nil {
		return err
	}
	root, err := nodeOf(text)
	if err != nil {
		return err
	}
	return o.print(w, root)
}
