package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxIndexes is how deep indexes may be nested.
const maxIndexes = 8

// nameAnnotations say what an image in a layout is called.
var nameAnnotations = []string{v1.AnnotationRefName, "io.containerd.image.name"}

// manifestFile is an index or a manifest; see index.md and manifest.md of the OCI
// image specification, and Docker's equal types.
type manifestFile struct {
	SchemaVersion int             `json:"schemaVersion"`
	Manifests     []v1.Descriptor `json:"manifests"`
	Config        *v1.Descriptor  `json:"config"`
	Layers        []v1.Descriptor `json:"layers"`

	self v1.Descriptor // set once it is chosen
}

func (s *Store) resolveLayout(ctx context.Context, r reference) (Image, error) {
	c, err := readLayout(directory(r.path), r.tag)
	if err != nil {
		return Image{}, err
	}
	return s.ingest(ctx, r, c)
}

// readLayout finds the image called tag, or the only one for this machine.
func readLayout(from files, tag string) (contents, error) {
	data, err := readSmall(from, v1.ImageIndexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return contents{}, fmt.Errorf("%w: there is no OCI image layout: %w", ErrNotFound, err)
	}
	if err != nil {
		return contents{}, err
	}
	index, err := parseManifest(data)
	if err != nil {
		return contents{}, err
	}
	candidates, err := named(index.Manifests, tag)
	if err != nil {
		return contents{}, err
	}
	m, err := chooseManifest(from, candidates, machine())
	if err != nil {
		return contents{}, err
	}
	return readManifest(from, m)
}

// named gives the descriptors with the name tag; all of them for none.
func named(all []v1.Descriptor, tag string) ([]v1.Descriptor, error) {
	if tag == "" {
		return all, nil
	}
	var names []string
	for _, annotation := range nameAnnotations {
		for _, d := range all {
			name := d.Annotations[annotation]
			if name == tag {
				return []v1.Descriptor{d}, nil
			}
			if name != "" {
				names = append(names, name)
			}
		}
	}
	return nil, fmt.Errorf("%w: nothing is called %q, there is: %s", ErrNotFound, tag, strings.Join(names, ", "))
}

// chooseManifest takes the one for a platform and follows indexes down from it.
func chooseManifest(from files, all []v1.Descriptor, p v1.Platform) (manifestFile, error) {
	d, err := choosePlatform(all, p)
	if err != nil {
		return manifestFile{}, err
	}
	read := func(d v1.Descriptor) ([]byte, error) { return readBlob(from, d.Digest) }
	return followIndexes(read, d, p, 0)
}

// followIndexes goes from d down to the manifest for a platform. read gives the
// content of what a descriptor names.
func followIndexes(read func(v1.Descriptor) ([]byte, error), d v1.Descriptor, p v1.Platform, depth int) (manifestFile, error) {
	if depth > maxIndexes {
		return manifestFile{}, fmt.Errorf("indexes are nested more than %d deep", maxIndexes)
	}
	data, err := read(d)
	if err != nil {
		return manifestFile{}, err
	}
	m, err := parseManifest(data)
	if err != nil {
		return m, err
	}
	if m.Config != nil {
		m.self = v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: int64(len(data))}
		return m, nil
	}
	next, err := choosePlatform(m.Manifests, p)
	if err != nil {
		return m, err
	}
	return followIndexes(read, next, p, depth+1)
}

// parseManifest refuses a file that is an index and a manifest at once, which
// different programs would take for different images (CVE-2021-41190).
func parseManifest(data []byte) (manifestFile, error) {
	var m manifestFile
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("cannot read manifest: %w", err)
	}
	if m.SchemaVersion != 2 {
		return m, fmt.Errorf("the manifest has schema version %d, not 2", m.SchemaVersion)
	}
	if len(m.Manifests) > 0 && (m.Config != nil || len(m.Layers) > 0) {
		return m, errors.New("the manifest is ambiguous: it is also an index")
	}
	return m, nil
}

func namesOf(all []v1.Descriptor) []string {
	var names []string
	for _, d := range all {
		for _, annotation := range nameAnnotations {
			if name := d.Annotations[annotation]; name != "" {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

func readManifest(from files, m manifestFile) (contents, error) {
	data, err := readBlob(from, m.Config.Digest)
	if err != nil {
		return contents{}, err
	}
	c := contents{config: data, manifest: &m.self, from: from}
	for _, d := range m.Layers {
		if !isLayer(d.MediaType) {
			return contents{}, fmt.Errorf("a layer has the unknown media type %q", d.MediaType)
		}
		name, err := blobName(d.Digest)
		if err != nil {
			return contents{}, err
		}
		c.layers = append(c.layers, blob{name: name, digest: d.Digest, size: d.Size, media: d.MediaType, files: from})
	}
	return c, nil
}

// isLayer says whether this is a tar archive, compressed or not; encrypted layers
// and artifacts are something else.
func isLayer(mediaType string) bool {
	for _, prefix := range []string{
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
	} {
		rest, ok := strings.CutPrefix(mediaType, prefix)
		if ok && slices.Contains([]string{"", "+gzip", "+zstd", ".gzip", ".zstd"}, rest) {
			return true
		}
	}
	return false
}
