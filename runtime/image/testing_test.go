package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// needRoot skips, or fails where CI promises root.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("STACK_TEST_STRICT") == "1" {
		t.Fatal("this test needs root")
	}
	t.Skip("this test needs root: owners, devices and trusted attributes")
}

var testTime = time.Unix(1_600_000_000, 123_000_000)

// file, dir, link and so on are entries of a test layer.
func file(name, content string) *entry {
	return &entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content}
}
func dir(name string, mode int64) *entry {
	return &entry{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode}, ""}
}
func symlink(name, target string) *entry {
	return &entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, ""}
}
func hardLink(name, target string) *entry {
	return &entry{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}, ""}
}

type entry struct {
	tar.Header
	content string
}

func (e *entry) owner(uid, gid int) *entry { e.Uid, e.Gid = uid, gid; return e }
func (e *entry) mode(m int64) *entry       { e.Mode = m; return e }
func (e *entry) pax(key, value string) *entry {
	if e.PAXRecords == nil {
		e.PAXRecords = map[string]string{}
	}
	e.PAXRecords[key] = value
	return e
}
func (e *entry) xattr(name, value string) *entry { return e.pax(paxXattr+name, value) }

func makeTar(t testing.TB, entries ...*entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		h.ModTime, h.Format = testTime, tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// mustApply unpacks entries into a new directory.
func mustApply(t testing.TB, entries ...*entry) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layer")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(context.Background(), dir, bytes.NewReader(makeTar(t, entries...)), DefaultLimits); err != nil {
		t.Fatal(err)
	}
	return dir
}

func testStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "images"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// layout is an OCI layout under construction.
type layout struct {
	t     testing.TB
	dir   string
	index v1.Index
}

func newLayout(t testing.TB) *layout {
	l := &layout{t: t, dir: filepath.Join(t.TempDir(), "layout")}
	l.index.SchemaVersion = 2
	l.write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return l
}

func (l *layout) write(name string, data []byte) {
	full := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(full, data, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *layout) blob(mediaType string, data []byte) v1.Descriptor {
	d := digest.FromBytes(data)
	l.write("blobs/sha256/"+d.Encoded(), data)
	return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

func (l *layout) json(mediaType string, v any) v1.Descriptor {
	return l.blob(mediaType, mustJSON(l.t, v))
}

// image adds an image with the layers compressed as gzip, zstd and not at all, in
// turn, and gives its manifest's descriptor.
func (l *layout) image(config string, tars ...[]byte) v1.Descriptor {
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: l.blob(v1.MediaTypeImageConfig, testConfig(l.t, config, tars...))}
	m.SchemaVersion = 2
	for i, data := range tars {
		switch i % 3 {
		case 0:
			m.Layers = append(m.Layers, l.blob(v1.MediaTypeImageLayerGzip, gzipped(l.t, data)))
		case 1:
			m.Layers = append(m.Layers, l.blob(v1.MediaTypeImageLayerZstd, zstded(l.t, data)))
		case 2:
			m.Layers = append(m.Layers, l.blob(v1.MediaTypeImageLayer, data))
		}
	}
	return l.json(v1.MediaTypeImageManifest, m)
}

// add puts a descriptor into the index, under a name if one is given.
func (l *layout) add(d v1.Descriptor, name string) *layout {
	if name != "" {
		d.Annotations = map[string]string{v1.AnnotationRefName: name}
	}
	l.index.Manifests = append(l.index.Manifests, d)
	l.write("index.json", mustJSON(l.t, l.index))
	return l
}

func platform(d v1.Descriptor, arch, variant string) v1.Descriptor {
	d.Platform = &v1.Platform{OS: "linux", Architecture: arch, Variant: variant}
	return d
}

// testConfig is an image configuration; config is the JSON of its "config" key.
func testConfig(t testing.TB, config string, tars ...[]byte) []byte {
	diffs := []digest.Digest{}
	for _, data := range tars {
		diffs = append(diffs, digest.FromBytes(data))
	}
	return mustJSON(t, map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": json.RawMessage(config),
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func gzipped(t testing.TB, data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t testing.TB, data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func mustUnmarshal(t testing.TB, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

func specsVersion() specs.Versioned { return specs.Versioned{SchemaVersion: 2} }

// noise does not compress.
func noise(n int) string {
	data := make([]byte, n)
	src := rand.NewChaCha8([32]byte{1})
	src.Read(data)
	return string(data)
}
