package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// attested is an index of an image and an attestation of it, and the latter's parts.
func attested(t *testing.T, l *layout, image v1.Descriptor, others ...v1.Descriptor) (index, statement v1.Descriptor) {
	t.Helper()
	statement = l.blob("application/vnd.in-toto+json", []byte(`{"subject":"`+image.Digest.String()+`"}`))
	statement.Annotations = map[string]string{"in-toto.io/predicate-type": "https://spdx.dev/Document"}
	about := l.json(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specsVersion(), MediaType: v1.MediaTypeImageManifest,
		Config: l.blob(v1.MediaTypeEmptyJSON, []byte("{}")), Layers: []v1.Descriptor{statement},
	})
	about.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
	about.Annotations = map[string]string{annotationKind: kindAttestation, annotationOf: image.Digest.String()}
	index = l.json(v1.MediaTypeImageIndex, v1.Index{
		Versioned: specsVersion(), MediaType: v1.MediaTypeImageIndex, Manifests: append([]v1.Descriptor{image, about}, others...),
	})
	return index, statement
}

// shelf takes what is pushed.
type shelf struct {
	mu   sync.Mutex
	sent []string
}

func (p *shelf) Push(_ context.Context, ref string, d v1.Descriptor, _ []string, open func() (io.ReadCloser, error)) (bool, error) {
	f, err := open()
	if err != nil {
		return false, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err == nil && (digest.FromBytes(data) != d.Digest || int64(len(data)) != d.Size) {
		err = fmt.Errorf("%s has other bytes", d.Digest)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, ref+" "+d.Digest.String())
	return true, err
}

// TestWholeIndex: an image comes, stays and goes with its attestations.
func TestWholeIndex(t *testing.T) {
	ctx := context.Background()
	s, l := testStore(t), newLayout(t)
	m := platform(l.image("{}", makeTar(t, file("a", "1"))), machine().Architecture, "")
	index, statement := attested(t, l, m)
	f := newRemote(l, map[string]v1.Descriptor{testRef: index})
	rec := mustPull(t, s, f, testRef)
	if rec.Index == nil || rec.Index.Digest != index.Digest || rec.Manifest.Digest != m.Digest {
		t.Fatalf("%+v", rec)
	}
	parts, err := s.Parts(rec)
	if err != nil || len(parts) != 2 || !parts[0].Here || parts[0].Of != "" || !parts[1].Here || parts[1].Of != m.Digest ||
		!slices.Equal(parts[1].Predicates, []string{"https://spdx.dev/Document"}) {
		t.Errorf("%+v %v", parts, err)
	}
	if _, err := s.Prune(ctx, nobody, func(Record) bool { return false }); err != nil {
		t.Fatal(err)
	}
	to := &shelf{}
	d, err := s.Push(ctx, to, testRef, nil)
	if err != nil || d.Digest != index.Digest {
		t.Fatalf("%v %v", d, err)
	}
	if last := to.sent[len(to.sent)-1]; last != testRef+" "+index.Digest.String() {
		t.Errorf("the name was given to %s", last)
	}
	for _, line := range to.sent[:len(to.sent)-1] {
		if line == testRef+" "+m.Digest.String() {
			t.Error("the name was given to a part of the index, meanwhile")
		}
	}
	if !slices.Contains(to.sent, testRef+" "+statement.Digest.String()) {
		t.Errorf("the statement was not pushed: %v", to.sent)
	}
	var saved bytes.Buffer
	if err := s.Save(ctx, []string{testRef}, &saved); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "saved.tar")
	os.WriteFile(name, saved.Bytes(), 0o600)
	other := testStore(t)
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	recs, err := other.Load(ctx, file)
	if err != nil || len(recs) != 1 || recs[0].Index == nil || recs[0].Index.Digest != index.Digest || !other.hasBlob(statement) {
		t.Fatalf("%+v %v", recs, err)
	}
	if err := os.Remove(other.blobPath(statement.Digest)); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Push(ctx, &shelf{}, testRef, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("an index was pushed in parts: %v", err)
	}
}

// TestIndexInParts: an image runs without what tells about it, and of an index whose
// other platforms are not here its own manifest is pushed.
func TestIndexInParts(t *testing.T) {
	l := newLayout(t)
	m := platform(l.image("{}", makeTar(t, file("a", "1"))), machine().Architecture, "")
	foreign := platform(l.image("{}", makeTar(t, file("b", "2"))), "riscv64", "")
	lost, statement := attested(t, l, m)
	many, _ := attested(t, l, m, foreign)
	huge := l.json(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specsVersion(), Config: l.blob(v1.MediaTypeEmptyJSON, []byte("{}")),
		Layers: []v1.Descriptor{{MediaType: "application/vnd.in-toto+json", Digest: digest.FromString("never sent"), Size: maxAttestations + 1}},
	})
	huge.Annotations = map[string]string{annotationKind: kindAttestation, annotationOf: m.Digest.String()}
	flood := l.json(v1.MediaTypeImageIndex, v1.Index{Versioned: specsVersion(), Manifests: []v1.Descriptor{m, huge}})
	if err := os.Remove(filepath.Join(l.dir, "blobs", "sha256", statement.Digest.Encoded())); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]v1.Descriptor{"lost": lost, "many": many, "flood": flood} {
		s := testStore(t)
		f := newRemote(l, map[string]v1.Descriptor{testRef: target})
		rec := mustPull(t, s, f, testRef)
		if rec.Index != nil || rec.Target.Digest != target.Digest {
			t.Errorf("%s: %+v", name, rec)
		}
		if name == "many" && f.fetched[statement.Digest] != nil {
			t.Error("attestations were fetched for nothing")
		}
		if f.fetched[digest.FromString("never sent")] != nil {
			t.Errorf("%s: what is too large was asked for", name)
		}
		if d, err := s.Push(context.Background(), &shelf{}, testRef, nil); err != nil || d.Digest != m.Digest {
			t.Errorf("%s: %v %v", name, d, err)
		}
	}
}

// TestCompressedIndex: what was built for several platforms is pushed compressed, as
// one index.
func TestCompressedIndex(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	a := platform(l.image("{}", makeTar(t, file("a", "1")), makeTar(t, file("c", "3")), makeTar(t, file("d", "4"))), machine().Architecture, "")
	b := platform(l.image("{}", makeTar(t, file("b", "2"))), "riscv64", "")
	index := l.json(v1.MediaTypeImageIndex, v1.Index{
		Versioned: specsVersion(), MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{a, b},
		Annotations: map[string]string{"kept": "yes"},
	})
	l.add(index, testRef)
	f, err := os.Open(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	recs, err := s.Load(context.Background(), f)
	if err != nil || len(recs) != 1 || recs[0].Index == nil {
		t.Fatalf("%+v %v", recs, err)
	}
	to := &shelf{}
	d, err := s.Push(context.Background(), to, testRef, nil)
	if err != nil || d.Digest == index.Digest {
		t.Fatalf("%v %v", d, err)
	}
	all, err := s.readIndex(d)
	if err != nil || len(all.below) != 2 || all.below[1].self.Platform.Architecture != "riscv64" {
		t.Fatalf("%+v %v", all, err)
	}
	for _, c := range all.allBlobs() {
		if isPlain(c.MediaType) || !slices.ContainsFunc(to.sent, func(s string) bool { return s == testRef+" "+c.Digest.String() }) {
			t.Errorf("%s %s was not pushed compressed", c.MediaType, c.Digest)
		}
	}
	rec, err := s.withBlobs(context.Background(), testRef)
	if err != nil || rec.Manifest.Digest != all.below[0].self.Digest || rec.Index.Digest != d.Digest {
		t.Errorf("%+v %v", rec, err)
	}
}

// TestHostileIndex: what an index leads to is bounded.
func TestHostileIndex(t *testing.T) {
	l := newLayout(t)
	m := l.image("{}", makeTar(t, file("a", "1")))
	deep, wide := m, []v1.Descriptor{}
	for range maxIndexes + 2 {
		deep = l.json(v1.MediaTypeImageIndex, v1.Index{Versioned: specsVersion(), Manifests: []v1.Descriptor{deep}})
	}
	for range 50 {
		wide = append(wide, m)
	}
	twice := l.json(v1.MediaTypeImageIndex, v1.Index{Versioned: specsVersion(), Manifests: wide})
	for range 3 { // 50 to the fourth
		twice = l.json(v1.MediaTypeImageIndex, v1.Index{Versioned: specsVersion(), Manifests: slices.Repeat([]v1.Descriptor{twice}, 50)})
	}
	reads := 0
	for name, d := range map[string]v1.Descriptor{"deep": deep, "wide": twice} {
		_, err := readBranch(d, func(d v1.Descriptor) ([]byte, error) { reads++; return readBlob(directory(l.dir), d.Digest) })
		if err == nil || reads > 30 {
			t.Errorf("%s: %v after %d reads", name, err, reads)
		}
	}
	bad := l.json(v1.MediaTypeImageIndex, v1.Index{Versioned: specsVersion(), Manifests: []v1.Descriptor{{Digest: "sha256:../../x"}}})
	if _, err := readBranch(bad, func(d v1.Descriptor) ([]byte, error) { return readBlob(directory(l.dir), d.Digest) }); err == nil {
		t.Error("a digest that is none was taken")
	}
}
