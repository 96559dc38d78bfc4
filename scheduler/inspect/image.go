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
	// Descriptor is of the index that the image is part of, or else of its manifest.
	Descriptor *v1.Descriptor `json:",omitempty"`
	Manifests  []Manifest     `json:",omitempty"`
}

// Manifest is one of an index: an image's for a platform, or what attests something
// of one.
type Manifest struct {
	ID         string
	Descriptor v1.Descriptor
	Available  bool // on this machine
	Kind       string
	ImageData  *struct{ Platform v1.Platform } `json:",omitempty"`
	// AttestationData says of which manifest, and of what type the statements are.
	AttestationData *AttestationData `json:",omitempty"`
}

// AttestationData is what is known of an attestation without reading it.
type AttestationData struct {
	For            string
	PredicateTypes []string `json:",omitempty"`
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

// NewImage shows an image under all the references that lead to it; size is in bytes,
// parts are what its index has.
func NewImage(rec image.Record, recs []image.Record, size int64, parts []image.Part) Image {
	out := Image{
		ID: rec.Image.Digest, RepoTags: []string{}, RepoDigests: []string{}, Created: rec.Created, Author: rec.Author,
		Config: ImageConfig{ImageConfig: rec.Image.Config}, Architecture: rec.Architecture, Variant: rec.Variant, Os: rec.OS, Size: size,
		GraphDriver: GraphDriver{Name: "overlay", Data: map[string]string{"LowerDir": strings.Join(rec.Image.Layers, ":")}},
		RootFS:      v1.RootFS{Type: "layers", DiffIDs: rec.DiffIDs}, Metadata: ImageMetadata{rec.Unpacked}, Descriptor: rec.Manifest,
	}
	if out.Manifests = manifests(parts); rec.Index != nil {
		out.Descriptor = rec.Index
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

func manifests(parts []image.Part) []Manifest {
	var all []Manifest
	for _, p := range parts {
		m := Manifest{ID: p.Digest.String(), Descriptor: p.Descriptor, Available: p.Here, Kind: "image"}
		switch {
		case p.Of != "":
			m.Kind, m.AttestationData = "attestation", &AttestationData{For: p.Of.String(), PredicateTypes: p.Predicates}
		case p.Platform != nil:
			m.ImageData = &struct{ Platform v1.Platform }{*p.Platform}
		}
		all = append(all, m)
	}
	return all
}
