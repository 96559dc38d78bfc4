package image

import (
	"fmt"
	"path/filepath"
	"strings"

	distref "github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

const (
	schemeRootfs  = "rootfs"
	schemeLayout  = "oci"
	schemeArchive = "docker-archive"

	// schemeRegistry and schemeID are not written: HOST/PATH:TAG and sha256:HEX.
	schemeRegistry = "registry"
	schemeID       = "sha256"
)

// reference is an image reference of a stack file, taken apart.
type reference struct {
	scheme string
	path   string // a path; for a registry HOST/REPOSITORY
	tag    string // "" for the only or default image; always so for rootfs
	digest digest.Digest
}

// parseReference takes ref apart. What is no path is completed as Docker does:
// "nginx" is docker.io/library/nginx:latest. A tag beside a digest is dropped.
func parseReference(ref string) (reference, error) {
	scheme, rest, _ := strings.Cut(ref, ":")
	r := reference{scheme: scheme, path: rest}
	switch scheme {
	case schemeRootfs:
	case schemeLayout, schemeArchive:
		r.path, r.tag, _ = strings.Cut(rest, ":")
	default:
		return parseNamed(ref)
	}
	if r.path == "" {
		return reference{}, fmt.Errorf("the reference has no path after %q", scheme+":")
	}
	if strings.ContainsRune(ref, 0) {
		return reference{}, fmt.Errorf("the reference has a zero byte")
	}
	return r, nil
}

func parseNamed(ref string) (reference, error) {
	if d := digest.Digest(ref); strings.HasPrefix(ref, schemeID+":") && d.Validate() == nil {
		return reference{scheme: schemeID, digest: d}, nil
	}
	n, err := distref.ParseDockerRef(ref)
	if err != nil {
		return reference{}, fmt.Errorf("%q is not an image reference: %w", ref, err)
	}
	r := reference{scheme: schemeRegistry, path: n.Name()}
	if t, ok := n.(distref.Tagged); ok {
		r.tag = t.Tag()
	}
	if d, ok := n.(distref.Digested); ok {
		r.digest = d.Digest()
	}
	return r, nil
}

// String is the name under which a record is kept.
func (r reference) String() string {
	s := r.scheme + ":" + r.path
	switch r.scheme {
	case schemeID:
		return r.digest.String()
	case schemeRegistry:
		s = r.path
	}
	if r.tag != "" {
		s += ":" + r.tag
	}
	if r.digest != "" {
		s += "@" + r.digest.String()
	}
	return s
}

// isPath says whether the image lies in files of this machine.
func (r reference) isPath() bool {
	return r.scheme == schemeRootfs || r.scheme == schemeLayout || r.scheme == schemeArchive
}

// Absolute rewrites the relative path of a rootfs:, oci: or docker-archive:
// reference against base. Any other reference is returned as it is.
func Absolute(ref, base string) string {
	r, err := parseReference(ref)
	if err != nil || !r.isPath() || filepath.IsAbs(r.path) {
		return ref
	}
	r.path = filepath.Join(base, r.path)
	return r.String()
}

// Complete gives a registry reference in full: "nginx" is
// "docker.io/library/nginx:latest". It reports false for references of other kinds.
func Complete(ref string) (string, bool) {
	r, err := parseReference(ref)
	if err != nil || r.scheme != schemeRegistry {
		return "", false
	}
	return r.String(), true
}

// Familiar is a complete reference as people write it: the opposite of Complete.
func Familiar(ref string) string {
	n, err := distref.ParseNormalizedNamed(ref)
	if err != nil || strings.HasPrefix(ref, schemeLayout+":") || strings.HasPrefix(ref, schemeRootfs+":") || strings.HasPrefix(ref, schemeArchive+":") {
		return ref
	}
	return distref.FamiliarString(n)
}

// IsRegistry says whether a reference leads to a registry, not to this machine.
func IsRegistry(ref string) bool { _, ok := Complete(ref); return ok }
