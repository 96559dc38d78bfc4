package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stack/runtime/image"
	"stack/spec"
)

// ensureImages pulls what services need of registries and is not here, or is to be
// asked for again, and builds what is to be built, before anything is made; nil means
// all services. policy is the --pull option.
func (a *app) ensureImages(ctx context.Context, st *spec.Stack, services []string, noDeps bool, policy string, quiet bool, b buildChoice) error {
	services, err := involved(st, services, noDeps)
	if err != nil {
		return err
	}
	var wanted []wantedImage
	for _, name := range services {
		more, err := wantedImages(st.Services[name], policy)
		if err != nil {
			return err
		}
		wanted = append(wanted, more...)
	}
	if err := a.pullDue(ctx, wanted, quiet); err != nil {
		return err
	}
	return a.buildDue(ctx, st, services, policy, b)
}

// pullDue pulls the images that are to be pulled.
func (a *app) pullDue(ctx context.Context, wanted []wantedImage, quiet bool) error {
	if len(wanted) == 0 {
		return nil // nothing of registries is opened for a stack without them
	}
	if err := requireRoot(); err != nil {
		return err
	}
	store, err := a.openImages()
	if err != nil {
		return err
	}
	due, err := dueImages(store, wanted)
	if err != nil || len(due) == 0 {
		return err
	}
	return a.pullImages(ctx, store, due, quiet)
}

// dueImages are the images to pull, each once. What is neither here nor may be
// pulled or built is an error.
func dueImages(store *image.Store, wanted []wantedImage) ([]wantedImage, error) {
	all, err := store.List()
	if err != nil {
		return nil, err
	}
	var due []wantedImage
	var errs []error
	seen := map[string]bool{}
	for _, w := range wanted {
		rec, ok := image.FindFor(all, w.ref, w.platform)
		if key := w.ref + " " + w.platform; w.due(rec, ok, time.Now()) {
			if !seen[key] {
				due = append(due, w)
			}
			seen[key] = true
		} else if !ok && !w.built {
			errs = append(errs, fmt.Errorf("service %q: image %s is not on this machine, and its pull_policy is %s", w.service, w.ref, w.policy))
		}
	}
	return due, errors.Join(errs...)
}

// pullImages pulls images side by side. One that can be built may fail.
func (a *app) pullImages(ctx context.Context, store *image.Store, due []wantedImage, quiet bool) error {
	client, err := a.registry()
	if err != nil {
		return err
	}
	t := newImageTransfer(a, quiet)
	byName := map[string]wantedImage{}
	var names []string
	for _, w := range due {
		name := w.ref
		if w.platform != "" {
			name += " " + w.platform // two platforms of one image are two rows
		}
		byName[name], names = w, append(names, name)
	}
	return t.each(ctx, names, func(ctx context.Context, name string) error {
		w := byName[name]
		_, err := t.pull(ctx, store, client, name, w.ref, w.platform)
		if err != nil && w.built && ctx.Err() == nil {
			t.say(name, "Skipped", "Image can be built")
			return nil
		}
		return err
	})
}
