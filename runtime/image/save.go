package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Save writes images as an archive that is both what `docker save` writes and an
// OCI layout: `docker load`, skopeo and Load read it. The same images give the same
// bytes.
func (s *Store) Save(ctx context.Context, names []string, to io.Writer) error {
	if err := s.save(ctx, names, to); err != nil {
		return fmt.Errorf("cannot save images: %w", err)
	}
	return nil
}

func (s *Store) save(ctx context.Context, names []string, to io.Writer) error {
	shared, err := s.share(ctx)
	if err != nil {
		return err
	}
	defer shared.Close()
	x := &export{s: s, w: tar.NewWriter(to), done: map[digest.Digest]bool{}}
	x.index.SchemaVersion, x.index.MediaType = 2, v1.MediaTypeImageIndex
	for _, name := range names {
		rec, err := s.withBlobs(ctx, name)
		if err != nil {
			return fmt.Errorf("image %q: %w", name, err)
		}
		if err := x.image(ctx, rec, name); err != nil {
			return fmt.Errorf("image %q: %w", name, err)
		}
	}
	return x.finish()
}

// export is an archive under way.
type export struct {
	s     *Store
	w     *tar.Writer
	done  map[digest.Digest]bool
	dirs  []string
	index v1.Index
	saved []savedImage
}

func (x *export) image(ctx context.Context, rec Record, name string) error {
	c, err := x.s.contents(*rec.Manifest)
	if err != nil {
		return err
	}
	config := digest.FromBytes(c.config)
	i := slices.IndexFunc(x.saved, func(s savedImage) bool { return s.Config == archiveName(config) })
	if i < 0 {
		i = len(x.saved)
		x.saved = append(x.saved, savedImage{Config: archiveName(config)})
		for _, b := range c.layers {
			x.saved[i].Layers = append(x.saved[i].Layers, archiveName(b.digest))
		}
	}
	all, err := x.s.branchOf(rec)
	if err != nil {
		return err
	}
	if err := x.branch(ctx, all); err != nil {
		return err
	}
	d := v1.Descriptor{MediaType: all.self.MediaType, Digest: all.self.Digest, Size: all.self.Size}
	// By ID the image goes without a name, as with Docker.
	if r, err := parseReference(name); err == nil && r.scheme == schemeRegistry && r.tag != "" && r.String() == rec.Image.Ref {
		x.saved[i].RepoTags = append(x.saved[i].RepoTags, Familiar(r.String()))
		d.Annotations = map[string]string{"io.containerd.image.name": r.String(), v1.AnnotationRefName: r.tag}
	}
	x.index.Manifests = append(x.index.Manifests, d)
	return nil
}

func archiveName(d digest.Digest) string {
	return path.Join("blobs", d.Algorithm().String(), d.Encoded())
}

// branch writes what an image is made of, each blob once.
func (x *export) branch(ctx context.Context, b *branch) error {
	err := b.each(func(c *branch) error { return x.blob(ctx, c.self.Digest) })
	for _, d := range b.allBlobs() {
		if err == nil {
			err = x.blob(ctx, d.Digest)
		}
	}
	return err
}

func (x *export) blob(ctx context.Context, d digest.Digest) error {
	if x.done[d] {
		return nil
	}
	x.done[d] = true
	f, err := os.Open(x.s.blobPath(d))
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil {
		err = x.file(archiveName(d), st.Size(), &bounded{ctx: ctx, r: f, left: st.Size()})
	}
	return errors.Join(err, f.Close())
}

// file adds one file and, before the first of a directory, that.
func (x *export) file(name string, size int64, content io.Reader) error {
	for i, c := range name {
		if dir := name[:i]; c == '/' && !slices.Contains(x.dirs, dir) {
			x.dirs = append(x.dirs, dir)
			if err := x.w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
				return err
			}
		}
	}
	if err := x.w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(x.w, content)
	return err
}

func (x *export) finish() error {
	for _, f := range []struct {
		name string
		v    any
	}{
		{v1.ImageLayoutFile, v1.ImageLayout{Version: v1.ImageLayoutVersion}},
		{v1.ImageIndexFile, x.index},
		{"manifest.json", x.saved},
	} {
		data, err := json.Marshal(f.v)
		if err != nil {
			return err
		}
		if err := x.file(f.name, int64(len(data)), strings.NewReader(string(data))); err != nil {
			return err
		}
	}
	return x.w.Close()
}
