package inspect

import (
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/runtime/image"
)

// Image is an image as Docker shows it.
type Image struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Created      *time.Time `json:",omitempty"`
	Author       string
	Config       ImageConfig
	Architecture string
	Os           string
	Size         int64
	RootFS       v1.RootFS
	Metadata     ImageMetadata
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
		Config: ImageConfig{ImageConfig: rec.Image.Config}, Architecture: rec.Architecture, Os: rec.OS, Size: size,
		RootFS: v1.RootFS{Type: "layers", DiffIDs: rec.DiffIDs}, Metadata: ImageMetadata{rec.Unpacked},
	}
	for _, r := range recs {
		out.RepoTags = append(out.RepoTags, r.Image.Ref)
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
