package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// storeVersion is the format of everything below a Store's directory:
//
//	store.json               {"Version":1}
//	lock                     flock: shared while resolving, exclusive while removing
//	locks/LAYER              flock: held by whoever unpacks or makes LAYER
//	layers/ALG-DIFFID/       an unpacked layer, right over any other layers
//	layers/chain-CHAINID/    an unpacked layer that is right only over the layers
//	                         below it, because its archive leaves directories out
//	                         whose owner and mode they give
//	layers/empty/            the root of an image without layers
//	host/FINGERPRINT/        the skeleton of rootfs:/
//	records/SHA256(KEY).json record, one for each reference (see Record)
//	blobs/sha256/HEX         manifests, configurations and layers as registries have
//	                         them, so that a push sends what a pull brought
//	partial/ALG-HEX          a blob half fetched; the next pull goes on behind it
//	tmp/                     half-made directories, named after what they become
//
// Directories appear in layers and host, and files in blobs, by rename only, so what
// is there is whole. An image's record is written last.
const storeVersion = 1

// Store keeps unpacked images in a directory. Any number of processes may use one
// at the same time, and being killed at any moment leaves nothing that looks whole
// and is not.
type Store struct {
	// Limits bound what one layer may unpack to. Set before first use.
	Limits Limits

	dir  string
	host string // what rootfs:/ shows; "/" but in tests
	log  *slog.Logger
}

var _ Resolver = (*Store)(nil)

// Open makes dir (0700) into a store, or opens the store that is there.
func Open(dir string, log *slog.Logger) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open image store: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{Limits: DefaultLimits, dir: dir, host: "/", log: log}
	for _, sub := range []string{"", "locks", "layers", "host", "records", "blobs", "partial", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("cannot make image store: %w", err)
		}
	}
	if err := s.checkVersion(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) checkVersion() error {
	var v struct{ Version int }
	name := filepath.Join(s.dir, "store.json")
	switch err := readJSON(name, &v); {
	case errors.Is(err, fs.ErrNotExist):
		v.Version = storeVersion
		return s.writeJSON(name, v)
	case err != nil:
		return fmt.Errorf("cannot open image store: %w", err)
	case v.Version != storeVersion:
		return fmt.Errorf("cannot open image store %s: it has version %d, this program knows %d", s.dir, v.Version, storeVersion)
	}
	return nil
}

// Resolve implements Resolver.
func (s *Store) Resolve(ctx context.Context, ref, platform string) (Image, error) {
	r, err := parseReference(ref)
	var img Image
	if err == nil {
		img, err = s.resolve(ctx, r, platform)
	}
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return Image{}, fmt.Errorf("cannot resolve image %q: %w", ref, err)
	}
	img.Ref = ref
	return img, nil
}

func (s *Store) resolve(ctx context.Context, r reference, platform string) (Image, error) {
	if r.isPath() && !filepath.IsAbs(r.path) {
		return Image{}, fmt.Errorf("the path %q is relative", r.path)
	}
	shared, err := s.share(ctx)
	if err != nil {
		return Image{}, err
	}
	defer shared.Close()
	if !r.isPath() {
		return s.resolveNamed(ctx, r, platform)
	}
	r.path = filepath.Clean(r.path)
	switch {
	case r.scheme == schemeLayout:
		return s.resolveLayout(ctx, r)
	case r.scheme == schemeArchive:
		return s.resolveArchive(ctx, r)
	case r.path == "/":
		return s.resolveHost(ctx)
	}
	return resolveDirectory(r.path)
}

// Keep implements Resolver.
func (s *Store) Keep(ctx context.Context, imgs ...Image) (io.Closer, error) {
	shared, err := s.share(ctx)
	if err != nil {
		return nil, err
	}
	for _, img := range imgs {
		for _, dir := range img.Layers {
			if _, err := os.Stat(dir); err != nil {
				shared.Close()
				return nil, fmt.Errorf("image %s was removed meanwhile: %w: %w", Familiar(img.Ref), ErrNotFound, err)
			}
		}
	}
	return shared, nil
}

// share keeps others from removing anything until it is closed.
func (s *Store) share(ctx context.Context) (*os.File, error) {
	return lockFile(ctx, filepath.Join(s.dir, "lock"), false)
}

// layerLock serialises the making of one directory of the store.
func (s *Store) layerLock(ctx context.Context, name string) (*os.File, error) {
	return lockFile(ctx, filepath.Join(s.dir, "locks", name), true)
}

// scratch gives an empty directory for name's half-made content. The caller holds
// name's lock, so a directory that is there was left by a process that died.
func (s *Store) scratch(name string) (string, error) {
	dir := filepath.Join(s.dir, "tmp", name)
	if err := removeTree(dir); err != nil {
		return "", err
	}
	return dir, os.Mkdir(dir, 0o755)
}

func readJSON(name string, v any) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	return nil
}

// writeJSON replaces name as a whole.
func (s *Store) writeJSON(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "json-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(data, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	return os.Rename(f.Name(), name)
}

// removeTree is os.RemoveAll that also gets through directories which their
// owner, not being root, has no permission to change.
func removeTree(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
