package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImportOptions describe an image made of a root file system.
type ImportOptions struct {
	Name     string // NAME[:TAG]; "" for none
	Comment  string
	Platform string
	Changes  []string // instructions of a Dockerfile: CMD, ENV, …
	Now      time.Time
}

// Import makes an image with one layer of a tar archive, compressed or not.
func (s *Store) Import(ctx context.Context, from io.Reader, o ImportOptions) (Record, error) {
	rec, err := s.importTree(ctx, from, o)
	if err != nil {
		return rec, fmt.Errorf("cannot import image: %w", err)
	}
	return rec, nil
}

func (s *Store) importTree(ctx context.Context, from io.Reader, o ImportOptions) (Record, error) {
	p, err := parsePlatform(o.Platform)
	if err != nil {
		return Record{}, err
	}
	conf := v1.Image{Created: &o.Now, Platform: p}
	for _, c := range o.Changes {
		if err := change(&conf.Config, c); err != nil {
			return Record{}, fmt.Errorf("change %q: %w", c, err)
		}
	}
	shared, err := s.share(ctx)
	if err != nil {
		return Record{}, err
	}
	defer shared.Close()
	plain, _, err := decompress(from)
	if err != nil {
		return Record{}, err
	}
	defer plain.Close()
	tree, spooled, err := s.spoolLayer(ctx, plain)
	if err != nil {
		return Record{}, err
	}
	defer spooled.Close()
	conf.RootFS = v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{tree.digest}}
	conf.History = []v1.History{{Created: &o.Now, CreatedBy: "stack image import", Comment: o.Comment}}
	c := contents{layers: []blob{tree}}
	if c.config, err = json.Marshal(conf); err != nil {
		return Record{}, err
	}
	rec, err := s.add(ctx, c)
	if err != nil {
		return rec, err
	}
	return s.nameNew(ctx, rec, o.Name)
}

// spoolLayer keeps a layer, a plain tar archive, in a file without a name, which
// the caller closes.
func (s *Store) spoolLayer(ctx context.Context, from io.Reader) (blob, *os.File, error) {
	f, err := s.spool(ctx, from)
	if err != nil {
		return blob{}, nil, err
	}
	sum := digest.SHA256.Digester()
	size, err := io.Copy(sum.Hash(), f)
	if err != nil {
		f.Close()
		return blob{}, nil, err
	}
	return blob{digest: sum.Digest(), size: size, media: v1.MediaTypeImageLayer, files: oneFile{f}, name: "layer"}, f, nil
}

// nameNew records an image that was made here, under its ID if name is "".
func (s *Store) nameNew(ctx context.Context, rec Record, name string) (Record, error) {
	r := reference{scheme: schemeID, digest: digest.Digest(rec.Image.Digest)}
	if name != "" {
		var err error
		if r, err = parseReference(name); err != nil {
			return rec, err
		}
		if r.scheme != schemeRegistry || r.digest != "" {
			return rec, fmt.Errorf("%q is not a name, as NAME[:TAG]", name)
		}
	}
	return rec, s.record(ctx, r, rec)
}

// oneFile is a tree of which only one file is known.
type oneFile struct{ f *os.File }

func (o oneFile) open(string) (io.ReadCloser, error) {
	st, err := o.f.Stat()
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.NewSectionReader(o.f, 0, st.Size())), nil
}
