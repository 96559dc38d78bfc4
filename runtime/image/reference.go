package image

import (
	"fmt"
	"path/filepath"
	"strings"
)

const (
	schemeRootfs  = "rootfs"
	schemeLayout  = "oci"
	schemeArchive = "docker-archive"
)

// reference is an image reference of a stack file, taken apart.
type reference struct {
	scheme string
	path   string
	tag    string // "" for the only or default image; always so for rootfs
}

// parseReference takes ref apart; ErrNotFound for a scheme that is not ours.
func parseReference(ref string) (reference, error) {
	scheme, rest, ok := strings.Cut(ref, ":")
	r := reference{scheme: scheme, path: rest}
	switch {
	case !ok, scheme != schemeRootfs && scheme != schemeLayout && scheme != schemeArchive:
		return reference{}, fmt.Errorf("%w: pulling from a registry is not supported, use rootfs:PATH, oci:PATH[:TAG] or docker-archive:FILE[:TAG]", ErrNotFound)
	case scheme != schemeRootfs:
		r.path, r.tag, _ = strings.Cut(rest, ":")
	}
	if r.path == "" {
		return reference{}, fmt.Errorf("the reference has no path after %q", scheme+":")
	}
	if strings.ContainsRune(ref, 0) {
		return reference{}, fmt.Errorf("the reference has a zero byte")
	}
	return r, nil
}

func (r reference) String() string {
	s := r.scheme + ":" + r.path
	if r.tag != "" {
		s += ":" + r.tag
	}
	return s
}

// Absolute rewrites the relative path of a rootfs:, oci: or docker-archive:
// reference against base. Any other reference is returned as it is.
func Absolute(ref, base string) string {
	r, err := parseReference(ref)
	if err != nil || filepath.IsAbs(r.path) {
		return ref
	}
	r.path = filepath.Join(base, r.path)
	return r.String()
}
