package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
	"stack/spec"
)

// Preview is the whole way that a command would go, from the records and the images
// of this machine: nothing is started, and no registry is asked.
func (s *Store) Preview(ctx context.Context, images Images, st *spec.Stack, cmd Command, now time.Time) (Plan, error) {
	w, err := s.LoadWish()
	if err != nil {
		return Plan{}, err
	}
	g, err := NewGraph(st.Project)
	if err != nil {
		return Plan{}, err
	}
	before := w.Stack
	w, services, err := edit(w, st, g, cmd)
	if err != nil {
		return Plan{}, err
	}
	want, seen, err := s.wantAndSeen(w, now)
	if err != nil {
		return Plan{}, err
	}
	for _, name := range services {
		if err := lookForImages(ctx, images, &seen, st.Project, name); err != nil {
			return Plan{}, err
		}
	}
	p := Foresee(want, seen, now)
	s.nameKeys(&p, want, seen)
	p.Warnings = append(p.Warnings, s.openUserNS(st, services)...)
	if before != nil && !p.Empty() {
		p.Consent = Widens(before, w.Stack)
	}
	return p, nil
}

// Standing is where the services stand with regard to what was last asked of them,
// from the records, for when no controller answers.
func (s *Store) Standing(now time.Time) (Plan, error) {
	w, err := s.LoadWish()
	if err != nil || w.Stack == nil {
		return Plan{}, err
	}
	want, seen, err := s.wantAndSeen(w, now)
	if err != nil {
		return Plan{}, err
	}
	return Reconcile(want, seen, now), nil
}

// wantAndSeen are what is to be planned from when there is no controller to ask.
func (s *Store) wantAndSeen(w Wish, now time.Time) (want Want, seen Observed, err error) {
	if want, err = NewWant(w); err == nil {
		seen, err = s.look(want, now)
	}
	return want, seen, err
}

// look reads the world from the records. Images are as they were: no command looks
// for them.
func (s *Store) look(want Want, now time.Time) (Observed, error) {
	seen := Observed{Networks: map[string]string{}, Digests: map[string]string{}, Sources: map[string]map[string]string{}}
	for name := range want.Stack.Services {
		seen.Digests[name] = ""
	}
	made, err := s.loadNetworks()
	if err != nil {
		return seen, err
	}
	for key, n := range made {
		seen.Networks[key] = n.Hash
	}
	if seen.Volumes, seen.VolumesMade, err = s.seenVolumes(want); err != nil {
		return seen, err
	}
	histories, err := s.Histories()
	if err != nil {
		return seen, err
	}
	seen.Updates = updates(histories)
	seen.Instances, err = s.Current(now)
	seen.Vacant = vacantNetworks(made, seen.Instances)
	slices.SortFunc(seen.Instances, func(a, b *Instance) int { return compareNames(a.Name, b.Name) })
	return seen, err
}

// lookForImages notes the digests of a service's image and of those that it mounts.
// One that is not on this machine is left out: it is to be resolved.
func lookForImages(ctx context.Context, images Images, seen *Observed, p *types.Project, service string) error {
	svc := p.Services[service]
	delete(seen.Digests, service)
	resolve := func(ref, platform string) (image.Image, bool, error) {
		img, err := images.Resolve(ctx, image.Absolute(ref, p.WorkingDir), platform)
		if errors.Is(err, image.ErrNotFound) {
			return img, false, nil
		}
		if err != nil {
			return img, false, fmt.Errorf("service %q: %w", service, err)
		}
		return img, true, nil
	}
	sources := map[string]string{}
	for _, v := range svc.Volumes {
		if v.Type != types.VolumeTypeImage {
			continue
		}
		img, here, err := resolve(v.Source, "")
		if err != nil || !here {
			return err
		}
		sources[v.Source] = img.Digest
	}
	img, here, err := resolve(ImageName(p.Name, svc), svc.Platform)
	if err == nil && here {
		seen.Digests[service], seen.Sources[service] = img.Digest, sources
	}
	return err
}
