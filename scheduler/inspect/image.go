package inspect

import (
	"slices"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/runtime/image"
)

// Image is an image as Docker shows it.
type Image struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Parent       string
	Comment      string
	Created      *time.Time `json:",omitempty"`
	Author       string
	Config       ImageConfig
	Architecture string
	Variant      string `json:",omitempty"`
	Os           string
	Size         int64
	GraphDriver  GraphDriver
	RootFS       v1.RootFS
	Metadata     ImageMetadata
	Descriptor   *v1.Descriptor `json:",omitempty"`
}

// GraphDriver tells where the layers are.
type GraphDriver struct {
	Name string
	Data map[string]string
}

// ImageConfig is what an image asks of its containers.
type ImageConfig struct {
	v1.ImageConfig
	Healthcheck *Healthcheck `json:",omitempty"`
}

// ImageMetadata is what the store adds.
type ImageMetadata struct {
	LastTagTime time.Time
}

// NewImage shows an image under all the references that lead to it; size is in bytes.
func NewImage(recs []image.Record, size int64) Image {
	rec := recs[0]
	out := Image{
		ID: rec.Image.Digest, RepoTags: []string{}, RepoDigests: []string{}, Created: rec.Created, Author: rec.Author,
		Config: ImageConfig{ImageConfig: rec.Image.Config}, Architecture: rec.Architecture, Variant: rec.Variant, Os: rec.OS, Size: size,
		GraphDriver: GraphDriver{Name: "overlay", Data: map[string]string{"LowerDir": strings.Join(rec.Image.Layers, ":")}},
		RootFS:      v1.RootFS{Type: "layers", DiffIDs: rec.DiffIDs}, Metadata: ImageMetadata{rec.Unpacked}, Descriptor: rec.Manifest,
	}
	if n := len(rec.History); n > 0 {
		out.Comment = rec.History[n-1].Comment
	}
	for _, r := range recs {
		if r.Tagged() {
			out.RepoTags = append(out.RepoTags, image.Familiar(r.Image.Ref))
		}
		if d := r.RepoDigest(); d != "" && !slices.Contains(out.RepoDigests, image.Familiar(d)) {
			out.RepoDigests = append(out.RepoDigests, image.Familiar(d))
		}
		if r.Unpacked.After(out.Metadata.LastTagTime) {
			out.Metadata.LastTagTime = r.Unpacked
		}
	}
	if h := rec.Image.Healthcheck; h != nil {
		out.Config.Healthcheck = &Healthcheck{
			Test: h.Test, Interval: time.Duration(h.Interval), Timeout: time.Duration(h.Timeout),
			StartPeriod: time.Duration(h.StartPeriod), StartInterval: time.Duration(h.StartInterval), Retries: h.Retries,
		}
	}
	return out
}
