package spec

import (
	"errors"
	"strings"

	"github.com/distribution/reference"
)

// localSchemes are image references that name a path on this machine.
func localSchemes() []string { return []string{"rootfs:", "oci:", "docker-archive:"} }

// checkImageRef: an image is rootfs:PATH, oci:PATH[:TAG], docker-archive:FILE or
// a reference to a registry.
func checkImageRef(m *model, r *report) {
	for _, s := range m.enabled() {
		image := s.v.get("image")
		if image.text() == "" {
			continue
		}
		if err := imageRef(image.text()); err != nil {
			r.addf(image.at, "image-reference", "%q is no image reference: %v", image.text(), err)
		}
	}
}

func imageRef(ref string) error {
	for _, scheme := range localSchemes() {
		if path, ok := strings.CutPrefix(ref, scheme); ok {
			if path == "" || strings.HasPrefix(path, ":") {
				return errors.New("the path is missing")
			}
			return nil
		}
	}
	if _, err := reference.ParseAnyReference(ref); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "invalid reference format: "))
	}
	return nil
}
