package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const richConfig = `{"Env":["A=b"],"Entrypoint":["/e"],"Cmd":["c"],"User":"web","WorkingDir":"/w","Volumes":{"/data":{}},
	"ExposedPorts":{"80/tcp":{}},"Labels":{"k":"v"},"StopSignal":"SIGQUIT",
	"Healthcheck":{"Test":["CMD","true"],"Interval":5000000000,"StartInterval":1000000,"Retries":3}}`

func TestAbsolute(t *testing.T) {
	for ref, want := range map[string]string{
		"rootfs:./x":             "rootfs:/base/x",
		"rootfs:x:y":             "rootfs:/base/x:y",
		"rootfs:/":               "rootfs:/",
		"oci:../img:v1":          "oci:/img:v1",
		"oci:/img":               "oci:/img",
		"docker-archive:a.tar":   "docker-archive:/base/a.tar",
		"docker-archive:a:n:tag": "docker-archive:/base/a:n:tag",
		"nginx:1.27":             "nginx:1.27",
		"oci:":                   "oci:",
	} {
		if got := Absolute(ref, "/base"); got != want {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
	}
}

func TestResolveDirectory(t *testing.T) {
	s, dir := testStore(t), t.TempDir()
	img, err := s.Resolve(context.Background(), "rootfs:"+dir+"/.", "")
	if err != nil || !slices.Equal(img.Layers, []string{dir}) || img.Digest == "" || len(img.Config.Env) != 1 {
		t.Errorf("%+v %v", img, err)
	}
	again, _ := s.Resolve(context.Background(), "rootfs:"+dir, "")
	if again.Digest != img.Digest {
		t.Error("the digest depends on how the path is written")
	}
	for _, ref := range []string{"rootfs:" + dir + "/absent", "nginx", "docker.io/library/nginx:1", "oci:" + dir, "docker-archive:" + dir + "/x.tar"} {
		if _, err := s.Resolve(context.Background(), ref, ""); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", ref, err)
		}
	}
	for _, ref := range []string{"rootfs:", "rootfs:relative", "oci:relative", "rootfs:" + os.Args[0]} {
		if _, err := s.Resolve(context.Background(), ref, ""); err == nil {
			t.Errorf("%s: no error", ref)
		}
	}
}

func TestResolveLayout(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	one := makeTar(t, dir("etc", 0o755), file("etc/a", "1"))
	two := makeTar(t, dir("etc", 0o755), file("etc/b", "2"))
	three := makeTar(t, dir("etc", 0o755), file("etc/c", "3"))
	empty := makeTar(t)
	l.add(l.image(richConfig, one, two, three, empty, one, empty), "v1")
	img, err := s.Resolve(context.Background(), "oci:"+l.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Layers) != 4 { // overlayfs takes no layer twice
		t.Errorf("layers %v", img.Layers)
	}
	for i, name := range map[int]string{1: "etc/a", 2: "etc/c", 3: "etc/b"} {
		if _, err := os.Stat(filepath.Join(img.Layers[i], name)); err != nil {
			t.Error(err)
		}
	}
	c, h := img.Config, img.Healthcheck
	_, vol := c.Volumes["/data"]
	_, port := c.ExposedPorts["80/tcp"]
	if c.User != "web" || c.StopSignal != "SIGQUIT" || c.WorkingDir != "/w" || c.Labels["k"] != "v" || !vol || !port || c.Entrypoint[0] != "/e" || c.Cmd[0] != "c" {
		t.Errorf("config %+v", c)
	}
	if h == nil || h.Retries != 3 || time.Duration(h.Interval) != 5*time.Second || time.Duration(h.StartInterval) != time.Millisecond || h.Test[1] != "true" {
		t.Errorf("health check %+v", h)
	}
	// The second time the blobs of the layers are not needed.
	os.RemoveAll(filepath.Join(l.dir, "blobs/sha256", digest.FromBytes(gzipped(t, one)).Encoded()))
	again, err := s.Resolve(context.Background(), "oci:"+l.dir+":v1", "")
	if err != nil || again.Digest != img.Digest || !slices.Equal(again.Layers, img.Layers) {
		t.Errorf("%+v %v", again, err)
	}
	if _, err := s.Resolve(context.Background(), "oci:"+l.dir+":v2", ""); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "v1") {
		t.Errorf("absent tag: %v", err)
	}
	checkTidy(t, s)
}

// checkTidy fails if half-made things are left.
func checkTidy(t *testing.T, s *Store) {
	t.Helper()
	if left, _ := os.ReadDir(filepath.Join(s.dir, "tmp")); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func TestResolveNoLayers(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	l.add(l.image(`{}`), "")
	img, err := s.Resolve(context.Background(), "oci:"+l.dir, "")
	if err != nil || len(img.Layers) != 1 {
		t.Fatalf("%+v %v", img, err)
	}
}

func TestResolvePlatform(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	mine, theirs := l.image(`{"User":"mine"}`, makeTar(t, file("mine", ""))), l.image(`{"User":"theirs"}`, makeTar(t, file("theirs", "")))
	attestation := theirs
	attestation.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
	inner := v1.Index{Manifests: []v1.Descriptor{attestation, platform(theirs, other, ""), platform(mine, runtime.GOARCH, "v9"), platform(mine, runtime.GOARCH, "")}}
	inner.SchemaVersion = 2
	l.add(l.json(v1.MediaTypeImageIndex, inner), "multi")
	l.add(platform(theirs, other, ""), "foreign")
	img, err := s.Resolve(context.Background(), "oci:"+l.dir+":multi", "")
	if err != nil || img.Config.User != "mine" {
		t.Errorf("%+v %v", img, err)
	}
	if _, err := s.Resolve(context.Background(), "oci:"+l.dir+":foreign", ""); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), other) {
		t.Errorf("foreign: %v", err)
	}
	l.add(mine, "another")
	if _, err := s.Resolve(context.Background(), "oci:"+l.dir, ""); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "another") {
		t.Errorf("no tag among several: %v", err)
	}
}

// TestResolveRefuses damages a layout in one place each; nothing may be kept.
func TestResolveRefuses(t *testing.T) {
	layer := makeTar(t, file("f", "x"))
	for name, c := range map[string]struct {
		damage func(l *layout) v1.Descriptor
		want   string
	}{
		"manifest": {func(l *layout) v1.Descriptor {
			d := l.image(`{}`, layer)
			l.write("blobs/sha256/"+d.Digest.Encoded(), []byte(`{"schemaVersion":2}`))
			return d
		}, "has the digest"},
		"layer": {func(l *layout) v1.Descriptor {
			d := l.image(`{}`, layer)
			l.write("blobs/sha256/"+digest.FromBytes(gzipped(t, layer)).Encoded(), gzipped(t, append(makeTar(t, file("g", "x")), 0)))
			return d
		}, "does not match"},
		"diff id": {func(l *layout) v1.Descriptor {
			good := l.blob(v1.MediaTypeImageLayer, layer)
			m := v1.Manifest{Config: l.blob(v1.MediaTypeImageConfig, testConfig(t, `{}`, []byte("another"))), Layers: []v1.Descriptor{good}}
			m.SchemaVersion = 2
			return l.json(v1.MediaTypeImageManifest, m)
		}, "does not match"},
		"trailing bytes": {func(l *layout) v1.Descriptor {
			d := l.image(`{}`, layer)
			l.write("blobs/sha256/"+digest.FromBytes(gzipped(t, layer)).Encoded(), append(gzipped(t, layer), gzipped(t, []byte("x"))...))
			return d
		}, "does not match"},
		"number of layers": {func(l *layout) v1.Descriptor {
			m := v1.Manifest{Config: l.blob(v1.MediaTypeImageConfig, testConfig(t, `{}`, layer))}
			m.SchemaVersion = 2
			return l.json(v1.MediaTypeImageManifest, m)
		}, "names 1"},
		"encrypted": {func(l *layout) v1.Descriptor {
			m := v1.Manifest{Config: l.blob(v1.MediaTypeImageConfig, testConfig(t, `{}`, layer)), Layers: []v1.Descriptor{l.blob(v1.MediaTypeImageLayer+"+encrypted", layer)}}
			m.SchemaVersion = 2
			return l.json(v1.MediaTypeImageManifest, m)
		}, "media type"},
		"ambiguous": {func(l *layout) v1.Descriptor {
			d := l.image(`{}`, layer)
			return l.json(v1.MediaTypeImageManifest, map[string]any{"schemaVersion": 2, "manifests": []any{d}, "layers": []any{d}})
		}, "ambiguous"},
		"digest is a path": {func(l *layout) v1.Descriptor {
			return v1.Descriptor{Digest: "sha256:../../../../etc/passwd"}
		}, "bad digest"},
		"hostile layer": {func(l *layout) v1.Descriptor { return l.image(`{}`, makeTar(t, file("../x", ""))) }, "refused"},
		"bomb": {func(l *layout) v1.Descriptor {
			return l.image(`{}`, makeTar(t, file("x", strings.Repeat("\x00", 3<<20))))
		}, "refused"},
		"bomb after the end": {func(l *layout) v1.Descriptor {
			return l.image(`{}`, append(bytes.Clone(layer), make([]byte, 3<<20)...))
		}, "refused"},
		"windows": {func(l *layout) v1.Descriptor {
			m := v1.Manifest{Config: l.blob(v1.MediaTypeImageConfig, []byte(`{"os":"windows","rootfs":{"type":"layers"}}`))}
			m.SchemaVersion = 2
			return l.json(v1.MediaTypeImageManifest, m)
		}, "windows"},
	} {
		t.Run(name, func(t *testing.T) {
			s, l := testStore(t), newLayout(t)
			s.Limits = Limits{Entries: 100, Bytes: 2 << 20}
			l.add(c.damage(l), "")
			if _, err := s.Resolve(context.Background(), "oci:"+l.dir, ""); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if kept, _ := os.ReadDir(filepath.Join(s.dir, "layers")); len(kept) > 0 {
				t.Errorf("kept %v", kept)
			}
			checkTidy(t, s)
		})
	}
}

// TestImpliedDirectories: a layer without entries for its directories shows them
// as the layers below have them, and is shared only where that is the same.
func TestImpliedDirectories(t *testing.T) {
	needRoot(t)
	s, l := testStore(t), newLayout(t)
	app := makeTar(t, file("tmp/app", "x"))
	one := makeTar(t, dir("tmp", 0o1777).owner(1, 2))
	two := makeTar(t, dir("tmp", 0o700).owner(3, 4))
	for name, tars := range map[string][][]byte{"one": {one, app}, "two": {two, app}, "alone": {app}} {
		l.add(l.image(`{}`, tars...), name)
	}
	for name, want := range map[string]string{"one": "1777 1:2", "two": "700 3:4", "alone": "755 0:0"} {
		img, err := s.Resolve(context.Background(), "oci:"+l.dir+":"+name, "")
		if err != nil {
			t.Fatal(err)
		}
		to := t.TempDir()
		if ok, err := s.CopyOut(context.Background(), img, "/tmp", to); !ok || err != nil {
			t.Fatal(ok, err)
		}
		info, _ := os.Stat(filepath.Join(img.Layers[0], "tmp"))
		uid, gid := ownerOf(info)
		mode := info.Mode().Perm()
		if info.Mode()&os.ModeSticky != 0 {
			mode |= 0o1000
		}
		if got := fmt.Sprintf("%o %d:%d", mode, uid, gid); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func archiveTar(t *testing.T, manifest any, entries ...*entry) []byte {
	return makeTar(t, append(entries, file("manifest.json", string(mustJSON(t, manifest))))...)
}

func TestResolveArchive(t *testing.T) {
	one, two := makeTar(t, file("one", "1")), makeTar(t, file("two", "2"))
	config := testConfig(t, `{"User":"old"}`, one, two, one)
	other := testConfig(t, `{"User":"other"}`, two)
	name := digest.FromBytes(config).Encoded() + ".json"
	old := archiveTar(t, []savedImage{
		{Config: name, RepoTags: []string{"app:v1", "app:latest"}, Layers: []string{"a/layer.tar", "b/layer.tar", "c/layer.tar"}},
		{Config: "other.json", RepoTags: []string{"other:v2"}, Layers: []string{"b/layer.tar"}},
	}, dir("a", 0o755), file("a/layer.tar", string(one)), file("b/layer.tar", string(two)), symlink("c/layer.tar", "../a/layer.tar"),
		file(name, string(config)), file("other.json", string(other)))
	for form, data := range map[string][]byte{"tar": old, "gzip": gzipped(t, old), "zstd": zstded(t, old)} {
		s := testStore(t)
		path := filepath.Join(t.TempDir(), "a.tar")
		os.WriteFile(path, data, 0o644)
		for tag, want := range map[string]string{":app:v1": "old", ":app": "old", ":v2": "other", ":other:v2": "other", ":v3": "", ":": "", "": ""} {
			img, err := s.Resolve(context.Background(), "docker-archive:"+path+tag, "")
			if want == "" && !errors.Is(err, ErrNotFound) || want != "" && err != nil || img.Config.User != want {
				t.Errorf("%s %s: %q %v", form, tag, img.Config.User, err)
			}
		}
		checkTidy(t, s)
	}
}

// TestArchiveUnchanged: an archive is read again only when it changed.
func TestArchiveUnchanged(t *testing.T) {
	s := testStore(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	write := func(user string) {
		layer := makeTar(t, file("f", user))
		config := testConfig(t, `{"User":"`+user+`"}`, layer)
		os.WriteFile(path+".new", archiveTar(t, []savedImage{{Config: "c", Layers: []string{"l"}}}, file("c", string(config)), file("l", string(layer))), 0o644)
		os.Rename(path+".new", path)
	}
	resolve := func() Image {
		img, err := s.Resolve(context.Background(), "docker-archive:"+path, "")
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	write("one")
	first := resolve()
	if again := resolve(); again.Digest != first.Digest || again.Config.User != "one" {
		t.Errorf("%+v", again)
	}
	os.RemoveAll(first.Layers[0])
	if resolve(); !isDir(first.Layers[0]) {
		t.Error("a vanished layer was not unpacked again")
	}
	write("two")
	if got := resolve(); got.Config.User != "two" {
		t.Errorf("a changed archive gave %+v", got)
	}
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func TestResolveArchiveWithLayout(t *testing.T) {
	l := newLayout(t)
	l.add(l.image(`{"User":"new"}`, makeTar(t, file("f", "x"))), "v1")
	var entries []*entry
	filepath.WalkDir(l.dir, func(name string, d os.DirEntry, err error) error {
		if !d.IsDir() {
			data, _ := os.ReadFile(name)
			rel, _ := filepath.Rel(l.dir, name)
			entries = append(entries, file(rel, string(data)))
		}
		return err
	})
	path := filepath.Join(t.TempDir(), "a.tar")
	os.WriteFile(path, makeTar(t, entries...), 0o644)
	img, err := testStore(t).Resolve(context.Background(), "docker-archive:"+path+":v1", "")
	if err != nil || img.Config.User != "new" {
		t.Errorf("%+v %v", img, err)
	}
}

func TestArchiveRefuses(t *testing.T) {
	layer := makeTar(t, file("f", "x"))
	config := string(testConfig(t, `{}`, layer))
	wrong := digest.FromString("wrong").Encoded() + ".json"
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"config name": {archiveTar(t, []savedImage{{Config: wrong, Layers: []string{"l"}}}, file(wrong, config), file("l", string(layer))), "does not match"},
		"wrong layer": {archiveTar(t, []savedImage{{Config: "c", Layers: []string{"l"}}}, file("c", config), file("l", string(makeTar(t, file("g", ""))))), "does not match"},
		"host file":   {archiveTar(t, []savedImage{{Config: "c", Layers: []string{"/etc/passwd"}}}, file("c", config)), "has no"},
		"circle":      {archiveTar(t, []savedImage{{Config: "a"}}, symlink("a", "b"), symlink("b", "a")), "circles"},
		"not a tar":   {bytes.Repeat([]byte("x"), 4096), "cannot read archive"},
		"empty":       {makeTar(t), "no OCI image layout"},
	} {
		path := filepath.Join(t.TempDir(), "a.tar")
		os.WriteFile(path, c.data, 0o644)
		if _, err := testStore(t).Resolve(context.Background(), "docker-archive:"+path, ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

// TestConcurrentStores: many resolvers of images that share layers in another
// order neither wait in a circle nor unpack twice.
func TestConcurrentStores(t *testing.T) {
	dirName := filepath.Join(t.TempDir(), "images")
	l := newLayout(t)
	a, b, c := makeTar(t, file("a", "")), makeTar(t, file("b", "")), makeTar(t, file("x/c", ""))
	l.add(l.image(`{}`, a, b, c), "abc").add(l.image(`{}`, c, b, a), "cba").add(l.image(`{}`, b, c), "bc")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			s, err := Open(dirName, slog.New(slog.DiscardHandler))
			if err == nil {
				_, err = s.Resolve(ctx, "oci:"+l.dir+":"+[]string{"abc", "cba", "bc"}[i%3], "")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	layers, _ := os.ReadDir(filepath.Join(dirName, "layers"))
	if len(layers) != 5 { // a, b, and c over ab, alone and over b
		t.Errorf("layers %v", layers)
	}
}

// TestLeftovers: what a killed process left half-made is neither used nor in the way.
func TestLeftovers(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	layer := makeTar(t, file("f", "x"))
	l.add(l.image(`{}`, layer), "")
	half := filepath.Join(s.dir, "tmp", layerName(digest.FromBytes(layer)))
	os.MkdirAll(filepath.Join(half, "f", "half"), 0o755)
	img, err := s.Resolve(context.Background(), "oci:"+l.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(img.Layers[0], "f")); string(data) != "x" {
		t.Error(err)
	}
	checkTidy(t, s)
}

func TestOpenVersion(t *testing.T) {
	s := testStore(t)
	os.WriteFile(filepath.Join(s.dir, "store.json"), []byte(`{"Version":99}`), 0o600)
	if _, err := Open(s.dir, nil); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("error %v", err)
	}
	if info, _ := os.Stat(s.dir); info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestRemoveAndPrune(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	base, a, b := makeTar(t, file("base", "")), makeTar(t, file("a", "")), makeTar(t, file("b", ""))
	l.add(l.image(`{}`, base, a), "a").add(l.image(`{}`, base, b), "b")
	ref := func(tag string) string { return "oci:" + l.dir + ":" + tag }
	resolve := func(tag string) Image {
		img, err := s.Resolve(context.Background(), ref(tag), "")
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	imgA, imgB := resolve("a"), resolve("b")
	all, err := s.List()
	if err != nil || len(all) != 2 || all[0].Image.Ref != ref("a") || !slices.Equal(all[1].Image.Layers, imgB.Layers) {
		t.Fatalf("%+v %v", all, err)
	}
	if _, err := s.Remove(context.Background(), ref("a"), using(Use{Images: []string{imgA.Digest}, Layers: imgA.Layers}), false); !errors.Is(err, ErrInUse) {
		t.Errorf("removing an image in use: %v", err)
	}
	if _, err := s.Remove(context.Background(), ref("c"), nobody, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("removing what is not there: %v", err)
	}
	done, err := s.Remove(context.Background(), ref("a"), nobody, false)
	if err != nil || !slices.Equal(done.Layers, imgA.Layers[:1]) || !slices.Equal(done.Deleted, []string{imgA.Digest}) || done.Bytes < 0 {
		t.Errorf("%+v %v", done, err)
	}
	if !isDir(imgB.Layers[1]) || isDir(imgA.Layers[0]) {
		t.Error("the wrong layers are gone")
	}
	resolve("a")
	everything := func(Record) bool { return true }
	done, err = s.Prune(context.Background(), using(Use{Images: []string{imgB.Digest}, Layers: imgB.Layers}), everything)
	if err != nil || !slices.Equal(done.Untagged, []string{ref("a")}) || !isDir(imgB.Layers[0]) {
		t.Errorf("%+v %v", done, err)
	}
	if done, err = s.Prune(context.Background(), nobody, everything); err != nil || len(done.Layers) != 2 {
		t.Errorf("%+v %v", done, err)
	}
	checkTidy(t, s)
}

// TestForcedRemoval: the layers of a running container stay when its image goes.
func TestForcedRemoval(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	l.add(l.image(`{}`, makeTar(t, file("f", "x"))), "a")
	ref := "oci:" + l.dir + ":a"
	img, err := s.Resolve(context.Background(), ref, "")
	if err != nil {
		t.Fatal(err)
	}
	use := Use{Images: []string{img.Digest}, Layers: img.Layers}
	if done, err := s.Remove(context.Background(), ref, using(use), true); err != nil || !slices.Equal(done.Untagged, []string{ref}) || len(done.Layers) > 0 {
		t.Errorf("%+v %v", done, err)
	}
	if !isDir(img.Layers[0]) {
		t.Error("the layer of a container is gone")
	}
}

// TestRemoveWaits: nothing is removed under a Resolve, and a wait ends with its context.
func TestRemoveWaits(t *testing.T) {
	s := testStore(t)
	busy, err := lockFile(context.Background(), filepath.Join(s.dir, "lock"), false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Prune(ctx, nobody, func(Record) bool { return true }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("prune under a resolve: %v", err)
	}
	busy.Close()
	if _, err := s.Prune(context.Background(), nobody, func(Record) bool { return true }); err != nil {
		t.Error(err)
	}
}

// nobody needs anything.
func nobody([]Record) (Use, error) { return Use{}, nil }

func using(u Use) InUse { return func([]Record) (Use, error) { return u, nil } }

// TestKeep: what is kept is not removed, nor what became somebody's meanwhile; what is
// gone already is not kept.
func TestKeep(t *testing.T) {
	s, l := testStore(t), newLayout(t)
	l.add(l.image(`{}`, makeTar(t, file("f", "x"))), "a")
	img, err := s.Resolve(t.Context(), "oci:"+l.dir+":a", "")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := s.Keep(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	var use atomic.Pointer[Use]
	use.Store(&Use{})
	pruned := make(chan error)
	go func() {
		_, err := s.Prune(t.Context(), func([]Record) (Use, error) { return *use.Load(), nil }, func(Record) bool { return true })
		pruned <- err
	}()
	select {
	case err := <-pruned:
		t.Fatalf("pruned what is kept: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	use.Store(&Use{Images: []string{img.Digest}, Layers: img.Layers})
	kept.Close()
	if err := <-pruned; err != nil || !isDir(img.Layers[0]) {
		t.Errorf("pruned what a container came to need while it waited: %v", err)
	}
	if _, err := s.Prune(t.Context(), nobody, func(Record) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keep(t.Context(), img); !errors.Is(err, ErrNotFound) {
		t.Errorf("kept what is gone: %v", err)
	}
}
