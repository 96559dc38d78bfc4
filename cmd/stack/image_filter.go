package main

import (
	"path"
	"strconv"

	"stack/runtime/image"
)

// calledLike matches NAME, NAME:TAG or a pattern with an image's name.
func calledLike(rec image.Record, pattern string) bool {
	name := image.Familiar(rec.Image.Ref)
	repository, _ := image.SplitReference(rec.Image.Ref)
	for _, s := range []string{name, repository} {
		if ok, err := path.Match(pattern, s); ok && err == nil || s == pattern || s == image.Familiar(pattern) {
			return true
		}
	}
	return false
}

// image applies the filters of `image ls`.
func (f filters) image(all []image.Record, rec image.Record) (bool, error) {
	ok := f.any("reference", func(p string) bool { return calledLike(rec, p) }) && f.labelled(rec.Image.Config.Labels) &&
		f.any("dangling", func(want string) bool {
			on, err := strconv.ParseBool(want)
			return err == nil && on == !rec.Tagged()
		})
	for _, key := range []string{"before", "since"} {
		for _, name := range f[key] {
			other, err := image.Find(all, name)
			if err != nil {
				return false, err
			}
			if rec.Created == nil || other.Created == nil {
				return false, nil
			}
			older := rec.Created.Before(*other.Created)
			ok = ok && older == (key == "before") && !rec.Created.Equal(*other.Created)
		}
	}
	return ok, nil
}
