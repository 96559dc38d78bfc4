package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stack/runtime/image"
	"stack/scheduler"
	"stack/spec"
)

// imagesToGo are the images that `down --rmi` removes: with "all" those of the services
// and their containers, with "local" those that the stack file gives no name of their
// own. They must be asked for before the down, which forgets them.
func (a *app) imagesToGo(ctx context.Context, s *scheduler.Store, mode string, services []string) ([]string, error) {
	if mode == "" {
		return nil, nil
	}
	if err := oneOf("rmi", mode, "all", "local"); err != nil {
		return nil, err
	}
	var refs []string
	add := func(service, ref string, local bool) {
		if (mode == "all" || local) && (len(services) == 0 || slices.Contains(services, service)) && image.IsRegistry(ref) {
			refs = append(refs, ref)
		}
	}
	for _, st := range a.stacksOf(ctx, s) {
		for name, svc := range st.Services {
			add(name, scheduler.ImageName(s.Project, svc), svc.Image == "")
		}
	}
	list, err := s.Current(time.Now())
	if err != nil {
		return nil, err
	}
	for _, i := range list {
		add(i.Service, i.Image, i.Image == s.Project+"-"+i.Service)
	}
	slices.Sort(refs)
	return slices.Compact(refs), nil
}

// stacksOf are what is known of a project's services: by the last command, and by the
// file where that is at hand.
func (a *app) stacksOf(ctx context.Context, s *scheduler.Store) []*spec.Stack {
	var out []*spec.Stack
	if w, err := s.LoadWish(); err == nil && w.Stack != nil {
		out = append(out, w.Stack)
	}
	if slices.Contains(a.files, "-") { // can be read once only
		return out
	}
	if st, err := a.loadNames(ctx); err == nil && st.Name == s.Project {
		out = append(out, st)
	}
	return out
}

// removeImages removes images that nobody uses any more; others are told and stay.
func (a *app) removeImages(ctx context.Context, refs []string) error {
	if len(refs) == 0 {
		return nil
	}
	store, err := a.openImages()
	if err != nil {
		return err
	}
	t := newImageTransfer(a, false)
	var errs []error
	for _, ref := range refs {
		full, _ := image.Complete(ref)
		t.say(ref, "Removing", "")
		switch _, err := store.Remove(ctx, full, a.imageUse, false); {
		case err == nil:
			t.say(ref, "Removed", "")
		case errors.Is(err, image.ErrNotFound):
			t.say(ref, "Skipped", "Image is not on this machine")
		case errors.Is(err, image.ErrInUse):
			t.say(ref, "Skipped", "Image is still in use")
		default:
			t.say(ref, "Error", err.Error())
			errs = append(errs, fmt.Errorf("cannot remove image %s: %w", ref, err))
		}
	}
	return errors.Join(errs...)
}
