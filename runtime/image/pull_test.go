package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// fakeRemote serves the blobs of a layout under tags.
type fakeRemote struct {
	dir  string
	tags map[string]v1.Descriptor

	mu      sync.Mutex
	fetched map[digest.Digest][]int64 // the offsets asked for
	// cut gives a transfer another end; nil for none.
	cut func(d v1.Descriptor, body io.Reader) io.Reader
}

func newRemote(l *layout, tags map[string]v1.Descriptor) *fakeRemote {
	return &fakeRemote{dir: l.dir, tags: tags, fetched: map[digest.Digest][]int64{}}
}

func (f *fakeRemote) Resolve(_ context.Context, ref string) (v1.Descriptor, error) {
	if _, d, ok := strings.Cut(ref, "@"); ok {
		for _, t := range f.tags {
			if t.Digest.String() == d {
				return t, nil
			}
		}
	}
	d, ok := f.tags[ref]
	if !ok {
		return d, ErrNotFound
	}
	return d, nil
}

func (f *fakeRemote) Fetch(_ context.Context, _ string, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetched[d.Digest] = append(f.fetched[d.Digest], offset)
	data, err := os.ReadFile(filepath.Join(f.dir, "blobs", "sha256", d.Digest.Encoded()))
	if err != nil {
		return nil, err
	}
	var body io.Reader = bytes.NewReader(data[min(offset, int64(len(data))):])
	if f.cut != nil {
		body = f.cut(d, body)
	}
	return io.NopCloser(body), nil
}

const testRef = "reg.example/app:v1"

func mustPull(t testing.TB, s *Store, from Remote, ref string) Record {
	t.Helper()
	rec, _, err := s.Pull(context.Background(), from, ref, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestPull(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	m := l.image(`{"Env":["A=b"]}`, makeTar(t, file("a", "1")), makeTar(t, file("b", "2")), makeTar(t, file("c", "3")))
	f := newRemote(l, map[string]v1.Descriptor{testRef: m})
	said := map[string][]string{}
	rec, fresh, err := s.Pull(context.Background(), f, testRef, PullOptions{Progress: func(p Progress) {
		if list := said[p.Layer]; len(list) == 0 || list[len(list)-1] != p.Status {
			said[p.Layer] = append(list, p.Status)
		}
	}})
	if err != nil || !fresh || rec.RepoDigest() != "reg.example/app@"+m.Digest.String() {
		t.Fatalf("%+v %v %v", rec, fresh, err)
	}
	for layer, list := range said {
		if got := strings.Join(list, ","); got != "Waiting,Downloading,Download complete,Extracting,Pull complete" {
			t.Errorf("%s: %s", layer, got)
		}
	}
	img, err := s.Resolve(context.Background(), testRef, "")
	if err != nil || len(img.Layers) != 3 || img.Config.Env[0] != "A=b" {
		t.Fatalf("%+v %v", img, err)
	}
	if _, err := s.Resolve(context.Background(), "reg.example/app@"+m.Digest.String(), ""); err != nil {
		t.Errorf("by the digest of the registry: %v", err)
	}
	if _, err := s.Resolve(context.Background(), img.Digest, ""); err != nil {
		t.Errorf("by ID: %v", err)
	}
	if _, err := s.Resolve(context.Background(), "reg.example/app@"+digest.FromString("").String(), ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("by another digest: %v", err)
	}
	// Again: only the tag is looked up.
	clear(f.fetched)
	if _, fresh, err := s.Pull(context.Background(), f, testRef, PullOptions{}); err != nil || fresh || len(f.fetched) > 0 {
		t.Errorf("%v %v %v", fresh, err, f.fetched)
	}
	// Layers that somebody removed are made anew without the registry.
	if err := removeTree(img.Layers[1]); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Resolve(context.Background(), testRef, ""); err != nil || !isDir(again.Layers[1]) || len(f.fetched) > 0 {
		t.Errorf("%v %v", err, f.fetched)
	}
	checkTidy(t, s)
}

// TestPullNewer: an image that loses its name stays until it is pruned, and prune
// takes neither what is named nor what runs.
func TestPullNewer(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	base := makeTar(t, file("base", ""))
	first, second := l.image(`{"Env":["N=1"]}`, base, makeTar(t, file("one", ""))), l.image(`{"Env":["N=2"]}`, base, makeTar(t, file("two", "")))
	f := newRemote(l, map[string]v1.Descriptor{testRef: first})
	old := mustPull(t, s, f, testRef)
	f.tags[testRef] = second
	next := mustPull(t, s, f, testRef)
	if next.Image.Digest == old.Image.Digest {
		t.Fatal("the old image")
	}
	all, _ := s.List()
	if len(all) != 2 || all[1].Image.Ref != "reg.example/app@"+first.Digest.String() || all[1].Tagged() {
		t.Fatalf("%+v", all)
	}
	unnamed := func(r Record) bool { return !r.Tagged() }
	done, err := s.Prune(context.Background(), using(Use{Images: []string{old.Image.Digest}, Layers: old.Image.Layers}), unnamed)
	if err != nil || len(done.Untagged)+len(done.Layers) > 0 {
		t.Errorf("in use: %+v %v", done, err)
	}
	done, err = s.Prune(context.Background(), nobody, unnamed)
	if err != nil || len(done.Deleted) != 1 || done.Deleted[0] != old.Image.Digest || len(done.Layers) != 1 || done.Bytes == 0 {
		t.Errorf("%+v %v", done, err)
	}
	if rec, _ := s.List(); len(rec) != 1 || !s.hasAll(rec[0]) || !rec[0].complete() {
		t.Errorf("prune took of %+v", rec)
	}
	if _, err := os.Stat(s.blobPath(first.Digest)); err == nil {
		t.Error("the old manifest is still there")
	}
}

func TestPullPlatform(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	mine, other := l.image(`{"Env":["FOR=mine"]}`, makeTar(t, file("f", "m"))), l.image(`{"Env":["FOR=other"]}`, makeTar(t, file("f", "o")))
	foreign := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	index := l.json(v1.MediaTypeImageIndex, v1.Index{Versioned: specsVersion(), Manifests: []v1.Descriptor{
		{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1, Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}},
		platform(other, foreign, ""), platform(mine, runtime.GOARCH, ""),
	}})
	f := newRemote(l, map[string]v1.Descriptor{testRef: index})
	rec := mustPull(t, s, f, testRef)
	if rec.Image.Config.Env[0] != "FOR=mine" || rec.Target.Digest != index.Digest || rec.Manifest.Digest != mine.Digest {
		t.Errorf("%+v", rec)
	}
	if _, _, err := s.Pull(context.Background(), f, testRef, PullOptions{Platform: "linux/riscv64"}); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "only: linux/"+foreign) {
		t.Errorf("%v", err)
	}
	if _, err := s.Resolve(context.Background(), testRef, "linux/"+foreign); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, _, err := s.Pull(context.Background(), f, testRef, PullOptions{Platform: "windows/amd64"}); err == nil {
		t.Error("an image for Windows")
	}
	if _, err := s.Resolve(context.Background(), testRef, "linux/"+runtime.GOARCH); err != nil {
		t.Errorf("by its own platform: %v", err)
	}
}

// TestPullRefuses: what a registry may answer and must not get away with. Nothing
// stays that looks like an image.
func TestPullRefuses(t *testing.T) {
	layer := makeTar(t, file("f", "x"))
	manifest := func(l *layout, change func(m *v1.Manifest)) v1.Descriptor {
		m := v1.Manifest{Versioned: specsVersion(), Config: l.blob(v1.MediaTypeImageConfig, testConfig(t, `{}`, layer)),
			Layers: []v1.Descriptor{l.blob(v1.MediaTypeImageLayer, layer)}}
		change(&m)
		return l.json(v1.MediaTypeImageManifest, m)
	}
	for name, c := range map[string]struct {
		make func(l *layout) v1.Descriptor
		ref  string
		want string
	}{
		"another manifest": {make: func(l *layout) v1.Descriptor {
			d := l.image(`{}`, layer)
			data, _ := os.ReadFile(filepath.Join(l.dir, "blobs/sha256", d.Digest.Encoded()))
			l.write("blobs/sha256/"+d.Digest.Encoded(), bytes.Replace(data, []byte("2"), []byte("3"), 1))
			return d
		}, want: "does not match"},
		"another layer": {make: func(l *layout) v1.Descriptor {
			return manifest(l, func(m *v1.Manifest) {
				l.write("blobs/sha256/"+m.Layers[0].Digest.Encoded(), bytes.Repeat([]byte("x"), len(layer)))
			})
		}, want: "does not match"},
		"a longer layer": {make: func(l *layout) v1.Descriptor {
			return manifest(l, func(m *v1.Manifest) { m.Layers[0].Size-- })
		}, want: "refused"},
		"a shorter layer": {make: func(l *layout) v1.Descriptor {
			return manifest(l, func(m *v1.Manifest) { m.Layers[0].Size++ })
		}, want: "unexpected EOF"},
		"negative size":  {make: func(l *layout) v1.Descriptor { return manifest(l, func(m *v1.Manifest) { m.Layers[0].Size = -1 }) }, want: "size -1"},
		"endless size":   {make: func(l *layout) v1.Descriptor { return manifest(l, func(m *v1.Manifest) { m.Layers[0].Size = 1 << 60 }) }, want: "refused"},
		"large config":   {make: func(l *layout) v1.Descriptor { return manifest(l, func(m *v1.Manifest) { m.Config.Size = 1 << 40 }) }, want: "refused"},
		"large manifest": {make: func(l *layout) v1.Descriptor { d := l.image(`{}`, layer); d.Size = 1 << 40; return d }, want: "refused"},
		"path as digest": {make: func(l *layout) v1.Descriptor {
			return manifest(l, func(m *v1.Manifest) { m.Layers[0].Digest = "sha256:../../../etc/passwd" })
		}, want: "bad digest"},
		"artifact": {make: func(l *layout) v1.Descriptor {
			return manifest(l, func(m *v1.Manifest) { m.Layers[0].MediaType = "application/vnd.cncf.helm.chart" })
		}, want: "media type"},
		"hostile layer": {make: func(l *layout) v1.Descriptor { return l.image(`{}`, makeTar(t, file("../x", ""))) }, want: "refused"},
		"schema 1":      {make: func(l *layout) v1.Descriptor { return l.json("x", map[string]any{"schemaVersion": 1}) }, want: "schema version 1"},
		"deep index": {make: func(l *layout) v1.Descriptor {
			d := l.image(`{}`, layer)
			for range maxIndexes + 2 {
				d = l.json(v1.MediaTypeImageIndex, v1.Index{Versioned: specsVersion(), Manifests: []v1.Descriptor{d}})
			}
			return d
		}, want: "deep"},
		"digest of another": {ref: "reg.example/app@" + digest.FromString("mine").String(), make: func(l *layout) v1.Descriptor { return l.image(`{}`, layer) }, want: "answers with the digest"},
	} {
		t.Run(name, func(t *testing.T) {
			s, l := testStore(t), newLayout(t)
			d := c.make(l)
			ref := testRef
			f := newRemote(l, map[string]v1.Descriptor{testRef: d})
			if c.ref != "" {
				ref = c.ref
				f.tags[ref] = d
			}
			if _, _, err := s.Pull(context.Background(), f, ref, PullOptions{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if all, _ := s.List(); len(all) > 0 {
				t.Errorf("recorded %+v", all)
			}
			if _, err := s.Resolve(context.Background(), ref, ""); !errors.Is(err, ErrNotFound) {
				t.Errorf("resolved: %v", err)
			}
			if out, _ := filepath.Glob(filepath.Join(filepath.Dir(s.dir), "*")); len(out) != 1 {
				t.Errorf("outside the store: %v", out)
			}
			checkTidy(t, s)
		})
	}
}

// TestPullShares: processes that pull images with common layers at the same time
// fetch and unpack each layer once.
func TestPullShares(t *testing.T) {
	dir, l := filepath.Join(t.TempDir(), "images"), newLayout(t)
	var tars [][]byte
	for i := range 6 {
		tars = append(tars, makeTar(t, file(fmt.Sprint("f", i), strings.Repeat("x", 10_000))))
	}
	f := newRemote(l, map[string]v1.Descriptor{testRef: l.image(`{}`, tars...), "reg.example/other:v1": l.image(`{"Env":["O=1"]}`, tars[:4]...)})
	var wg sync.WaitGroup
	for i := range 6 {
		s, err := Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if _, _, err := s.Pull(context.Background(), f, []string{testRef, "reg.example/other:v1"}[i%2], PullOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for d, offsets := range f.fetched {
		if len(offsets) != 1 {
			t.Errorf("%s was fetched %d times", d, len(offsets))
		}
	}
}

// TestPullKilled kills a process that pulls, in a child of this test, while a layer
// is under way: nothing looks like an image, and the next pull goes on behind what
// is there.
func TestPullKilled(t *testing.T) {
	l := newLayout(t)
	small, large := makeTar(t, file("s", "x")), makeTar(t, file("l", noise(1<<20)))
	m := l.image(`{}`, small, large)
	dir := filepath.Join(t.TempDir(), "images")
	cmd := exec.Command(os.Args[0], "-test.run", "^TestPullChild$")
	cmd.Env = append(os.Environ(), "STACK_TEST_PULL="+dir, "STACK_TEST_LAYOUT="+l.dir, "STACK_TEST_MANIFEST="+string(mustJSON(t, m)))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it says when the layer stands still
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()

	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolve(context.Background(), testRef, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("half an image: %v", err)
	}
	f := newRemote(l, map[string]v1.Descriptor{testRef: m})
	rec := mustPull(t, s, f, testRef)
	if !rec.complete() || !s.hasAll(rec) {
		t.Errorf("%+v", rec)
	}
	resumed := false
	for _, offsets := range f.fetched {
		resumed = resumed || offsets[0] >= 400_000
	}
	if !resumed {
		t.Errorf("nothing was resumed: %v", f.fetched)
	}
	checkTidy(t, s)
}

// TestPullChild is the process that TestPullKilled kills.
func TestPullChild(t *testing.T) {
	dir := os.Getenv("STACK_TEST_PULL")
	if dir == "" {
		return
	}
	var m v1.Descriptor
	mustUnmarshal(t, []byte(os.Getenv("STACK_TEST_MANIFEST")), &m)
	f := newRemote(&layout{dir: os.Getenv("STACK_TEST_LAYOUT")}, map[string]v1.Descriptor{testRef: m})
	f.cut = func(d v1.Descriptor, body io.Reader) io.Reader {
		if d.Size < 500_000 {
			return body
		}
		return io.MultiReader(io.LimitReader(body, 500_000), standstill{})
	}
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Pull(context.Background(), f, testRef, PullOptions{})
}

// standstill says that it is read and never answers.
type standstill struct{}

func (standstill) Read([]byte) (int, error) {
	os.Stdout.WriteString("!")
	time.Sleep(time.Hour)
	return 0, io.EOF
}

// TestPullSpoilt: what a crash left in a half blob is thrown away, and a blob of
// the right size with the wrong content is found out and fetched again.
func TestPullSpoilt(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	m := l.image(`{}`, makeTar(t, file("l", noise(100_000))))
	f := newRemote(l, map[string]v1.Descriptor{testRef: m})
	rec := mustPull(t, s, f, testRef)
	c, err := s.contents(*rec.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	layer := c.layers[0]
	if _, err := s.Prune(context.Background(), nobody, func(Record) bool { return true }); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(s.dir, "partial", layerName(layer.digest))
	os.WriteFile(half, make([]byte, 5000), 0o600)
	mustPull(t, s, f, testRef)

	os.WriteFile(s.blobPath(layer.digest), make([]byte, layer.size), 0o600)
	if err := removeTree(rec.Image.Layers[0]); err != nil {
		t.Fatal(err)
	}
	if rec := mustPull(t, s, f, testRef); !rec.complete() {
		t.Error("incomplete")
	}
}
