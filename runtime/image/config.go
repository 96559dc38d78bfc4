package image

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxLayers is more than overlayfs mounts.
const maxLayers = 500

// configFile is an image's configuration: OCI's image-spec config.md with Docker's
// extension of it (moby/docker-image-spec).
type configFile struct {
	Created      *time.Time   `json:"created"`
	Author       string       `json:"author"`
	Architecture string       `json:"architecture"`
	OS           string       `json:"os"`
	Variant      string       `json:"variant"`
	History      []v1.History `json:"history"`
	Config       struct {
		v1.ImageConfig
		Healthcheck *Healthcheck
	} `json:"config"`
	RootFS struct {
		Type    string          `json:"type"`
		DiffIDs []digest.Digest `json:"diff_ids"`
	} `json:"rootfs"`
}

func parseConfig(data []byte) (configFile, error) {
	var c configFile
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("cannot read image configuration: %w", err)
	}
	if c.OS != "" && c.OS != "linux" {
		return c, fmt.Errorf("the image is for %s", c.OS)
	}
	if c.RootFS.Type != "layers" {
		return c, fmt.Errorf("the image configuration has a root file system of the unknown type %q", c.RootFS.Type)
	}
	if n := len(c.RootFS.DiffIDs); n > maxLayers {
		return c, fmt.Errorf("the image has %d layers, more than %d", n, maxLayers)
	}
	for _, d := range c.RootFS.DiffIDs {
		if err := d.Validate(); err != nil {
			return c, fmt.Errorf("the image configuration has the bad diff_id %q: %w", d, err)
		}
	}
	return c, nil
}

// contents is where an image's parts are: in a layout or in an archive.
type contents struct {
	config   []byte
	layers   []blob         // the lowest first, one for each diff_id
	manifest *v1.Descriptor // nil where there is none
	from     files          // has the manifest
	index    *v1.Descriptor // what it is part of, nil where from has not all of that
}

// blob is a stored file of a layout or an archive.
type blob struct {
	name   string
	digest digest.Digest // of the stored bytes; empty where none is stated
	size   int64         // of the same, where a digest is
	media  string        // media type, likewise
	stored bool          // in blobs: the digest was checked when it came there
	files  files
	meter  *meter
}

// image puts together what a Store answers for c, whose layers are in dirs, the
// lowest first.
func (c configFile) image(data []byte, dirs []string) Image {
	img := Image{
		Digest:      digest.FromBytes(data).String(),
		Config:      c.Config.ImageConfig,
		Healthcheck: c.Config.Healthcheck,
	}
	img.Layers = slices.Clone(dirs)
	slices.Reverse(img.Layers)
	return img
}

// record describes img, of this configuration.
func (c configFile) record(img Image) Record {
	return Record{
		Version: storeVersion, Image: img, Created: c.Created, Author: c.Author,
		Architecture: c.Architecture, Variant: c.Variant, OS: c.OS, DiffIDs: c.RootFS.DiffIDs, History: c.History,
	}
}
