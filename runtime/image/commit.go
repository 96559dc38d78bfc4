package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// CommitOptions describe an image made of another one and a layer.
type CommitOptions struct {
	Name            string // NAME[:TAG]; "" for none
	Author, Comment string
	Changes         []string // instructions of a Dockerfile: CMD, ENV, …
	Now             time.Time
}

// Commit makes an image of base, a reference or ID, with one more layer, a tar
// archive. The rest of its configuration is base's but for the changes.
func (s *Store) Commit(ctx context.Context, base string, layer io.Reader, o CommitOptions) (Record, error) {
	rec, err := s.commit(ctx, base, layer, o)
	if err != nil {
		return rec, fmt.Errorf("cannot commit image: %w", err)
	}
	return rec, nil
}

func (s *Store) commit(ctx context.Context, base string, layer io.Reader, o CommitOptions) (Record, error) {
	shared, err := s.share(ctx)
	if err != nil {
		return Record{}, err
	}
	defer shared.Close()
	below, err := s.withBlobs(ctx, base)
	if err != nil {
		return Record{}, fmt.Errorf("image %q: %w", base, err)
	}
	c, err := s.contents(*below.Manifest)
	if err != nil {
		return Record{}, err
	}
	added, spooled, err := s.spoolLayer(ctx, layer)
	if err != nil {
		return Record{}, err
	}
	defer spooled.Close()
	if c.config, err = o.configure(c.config, added.digest); err != nil {
		return Record{}, err
	}
	c.layers, c.manifest = append(c.layers, added), nil
	rec, err := s.add(ctx, c)
	if err != nil {
		return rec, err
	}
	return s.nameNew(ctx, rec, o.Name)
}

// configure adds a layer and the changes to a configuration, keeping what it has
// that is not known here.
func (o CommitOptions) configure(config []byte, diff digest.Digest) ([]byte, error) {
	var conf v1.Image
	all := map[string]json.RawMessage{}
	for _, to := range []any{&conf, &all} {
		if err := json.Unmarshal(config, to); err != nil {
			return nil, fmt.Errorf("cannot read the image's configuration: %w", err)
		}
	}
	for _, c := range o.Changes {
		if err := change(&conf.Config, c); err != nil {
			return nil, fmt.Errorf("change %q: %w", c, err)
		}
	}
	conf.RootFS.DiffIDs = append(conf.RootFS.DiffIDs, diff)
	conf.History = append(conf.History, v1.History{Created: &o.Now, CreatedBy: "stack commit", Author: o.Author, Comment: o.Comment})
	changed := map[string]any{"created": o.Now, "rootfs": conf.RootFS, "history": conf.History}
	if o.Author != "" {
		changed["author"] = o.Author
	}
	if len(o.Changes) > 0 {
		changed["config"] = conf.Config
	}
	for key, v := range changed {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		all[key] = text
	}
	return json.Marshal(all)
}
