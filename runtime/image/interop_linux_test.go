package image

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"stack/runtime/image/registry"
	"stack/runtime/image/registry/registrytest"
)

// featureLayers have together what a layer can have.
func featureLayers(t testing.TB) [][]byte {
	long := strings.Repeat("long/", 60) + strings.Repeat("n", 200)
	capability := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	char := dir("dev/null", 0o666)
	char.Typeflag, char.Devmajor, char.Devminor = '3', 1, 3
	fifo := dir("fifo", 0o622)
	fifo.Typeflag = '6'
	return [][]byte{
		makeTar(t, dir("./", 0o755), dir("dev/", 0o755), dir("etc/", 0o755), dir("data/", 0o1777).owner(5, 6), dir("opaque/", 0o750), dir("swap/", 0o755),
			file("etc/a", "a"), file("etc/b", "b"), file("data/old", "x").owner(7, 8), file("opaque/hidden", "x"), file("swap/f", "x"),
			file("ping", "x").mode(0o755).xattr("security.capability", capability).xattr("user.note", "hi"), hardLink("ping6", "ping"),
			file("su", "x").mode(0o4755), file("sg", "x").mode(0o2755).owner(0, 42), symlink("abs", "/etc/a"), symlink("rel", "../etc/b"), symlink("nowhere", "gone"),
			char, fifo, file("zeros", strings.Repeat("\x00", 2<<20))),
		makeTar(t, dir("./", 0o755), dir("etc/", 0o711), file("etc/.wh.b", ""), dir("opaque/", 0o700), file("opaque/.wh..wh..opq", ""), file("opaque/new", "y"),
			file(".wh.swap", ""), file("swap", "a file now"), dir("long/", 0o755), dir(long[:strings.LastIndex(long, "/")+1], 0o755), file(long, "deep"),
			file("data/umlaut-ä-\xff", "name")),
		makeTar(t, dir("./", 0o755), dir("etc/", 0o755), file("etc/a", "changed").owner(1000, 1001), file("big", noise(300_000)), hardLink("big2", "big")),
	}
}

// workshop is a registry, a store and an image made with umoci.
type workshop struct {
	*testing.T
	dir    string
	addr   string
	client *registry.Client
}

func newWorkshop(t *testing.T) *workshop {
	needRoot(t)
	registrytest.Need(t, "skopeo", "umoci")
	s := registrytest.Start(t, registrytest.Options{})
	c := registry.New(registry.Settings{}, "test", func(string) (registry.Secret, error) { return registry.Secret{}, nil })
	w := &workshop{t, t.TempDir(), s.Addr, c}
	w.run("umoci", "init", "--layout", w.dir+"/made")
	w.run("umoci", "new", "--image", w.dir+"/made:v1")
	for i, layer := range featureLayers(t) {
		name := filepath.Join(w.dir, fmt.Sprint(i, ".tar"))
		if err := os.WriteFile(name, layer, 0o600); err != nil {
			t.Fatal(err)
		}
		w.run("umoci", "raw", "add-layer", "--image", w.dir+"/made:v1", name)
	}
	w.run("umoci", "config", "--image", w.dir+"/made:v1", "--config.env", "A=b", "--config.cmd", "/bin/sh", "--config.user", "7:8")
	return w
}

func (w *workshop) run(name string, args ...string) string {
	w.Helper()
	return registrytest.Run(w, name, args...)
}

func (w *workshop) skopeo(args ...string) {
	w.Helper()
	w.run("skopeo", append([]string{"copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"}, args...)...)
}

// unpacked describes the tree that umoci makes of a layout's image.
func (w *workshop) unpacked(image string) string {
	w.Helper()
	bundle := filepath.Join(w.TempDir(), "bundle")
	w.run("umoci", "unpack", "--image", image, bundle)
	return describe(w.T, filepath.Join(bundle, "rootfs"))
}

// shown describes the tree that containers get of our image.
func (w *workshop) shown(img Image) (tree string) {
	w.Helper()
	withOverlay(w.T, img.Layers, func(top string) { tree = describe(w.T, top) })
	return tree
}

func (w *workshop) same(what, got, want string) {
	w.Helper()
	if got != want {
		w.Errorf("%s:\n%s", what, differences(got, want))
	}
}

func differences(got, want string) string {
	have, out := map[string]bool{}, ""
	for line := range strings.Lines(want) {
		have[strings.TrimSuffix(line, "\n")] = true
	}
	for line := range strings.Lines(got) {
		if line = strings.TrimSuffix(line, "\n"); !have[line] {
			out += fmt.Sprintf("got  %.200s\n", line)
		}
		delete(have, line)
	}
	for line := range have {
		out += fmt.Sprintf("want %.200s\n", line)
	}
	return out
}

// TestPullWhatSkopeoPushed: with gzip, zstd, and as Docker's schema 2.
func TestPullWhatSkopeoPushed(t *testing.T) {
	w := newWorkshop(t)
	want := w.unpacked(w.dir + "/made:v1")
	for tag, options := range map[string][]string{
		"gzip": nil, "docker": {"--format", "v2s2"}, "zstd": {"--dest-compress-format", "zstd", "--dest-compress"},
	} {
		ref := w.addr + "/team/app:" + tag
		w.skopeo(append(options, "oci:"+w.dir+"/made:v1", "docker://"+ref)...)
		s := testStore(t)
		rec := mustPull(t, s, w.client, ref)
		w.same(tag, w.shown(rec.Image), want)
		if rec.Target.Digest != w.digest(ref) {
			t.Errorf("%s: the digest is %s, skopeo says %s", tag, rec.Target.Digest, w.digest(ref))
		}
		if rec.Image.Config.User != "7:8" || fmt.Sprint(rec.Image.Config.Cmd, rec.Image.Config.Env[len(rec.Image.Config.Env)-1:]) != "[/bin/sh] [A=b]" {
			t.Errorf("%+v", rec.Image.Config)
		}
	}
}

func (w *workshop) digest(ref string) digest.Digest {
	w.Helper()
	var d struct{ Digest digest.Digest }
	if err := json.Unmarshal([]byte(w.run("skopeo", "inspect", "--tls-verify=false", "docker://"+ref)), &d); err != nil {
		w.Fatal(err)
	}
	return d.Digest
}

// TestSkopeoReadsWhatWePushed: the same bytes that were pulled, and an image that
// was loaded without compression.
func TestSkopeoReadsWhatWePushed(t *testing.T) {
	w := newWorkshop(t)
	ctx := context.Background()
	want := w.unpacked(w.dir + "/made:v1")
	s := testStore(t)
	w.skopeo("oci:"+w.dir+"/made:v1", "docker://"+w.addr+"/team/app:v1")
	mustPull(t, s, w.client, w.addr+"/team/app:v1")
	copied := w.addr + "/other/copy:v2"
	if err := s.Tag(ctx, w.addr+"/team/app:v1", copied); err != nil {
		t.Fatal(err)
	}
	sent := map[string]bool{}
	d, err := s.Push(ctx, w.client, copied, func(p Progress) { sent[p.Status] = true })
	if err != nil || sent["Pushed"] || !sent["Layer already exists"] {
		t.Errorf("layers of the same registry were not mounted: %v %v", sent, err)
	}
	if d.Digest != w.digest(w.addr+"/team/app:v1") || d.Digest != w.digest(copied) {
		t.Errorf("the digest changed to %s", d.Digest)
	}

	w.skopeo("oci:"+w.dir+"/made:v1", "docker-archive:"+w.dir+"/made.tar:reg.example/loaded:v1")
	recs := w.load(s, w.dir+"/made.tar")
	if len(recs) != 1 || recs[0].Image.Ref != "reg.example/loaded:v1" {
		t.Fatalf("%+v", recs)
	}
	w.same("loaded", w.shown(recs[0].Image), want)
	for i, name := range []string{"/loaded:v1", "/loaded:again"} {
		if err := s.Tag(ctx, recs[0].Image.Digest, w.addr+name); err != nil {
			t.Fatal(err)
		}
		d, err := s.Push(ctx, w.client, w.addr+name, nil)
		if err != nil || d.Digest != w.digest(w.addr+name) {
			t.Fatalf("%v %v", d, err)
		}
		layout := w.dir + fmt.Sprint("/pushed", i)
		w.skopeo("docker://"+w.addr+name, "oci:"+layout+":v1")
		w.same("pushed", w.unpacked(layout+":v1"), want)
	}
	all, _ := s.List()
	rec, err := Find(all, w.addr+"/loaded:v1")
	if err != nil || rec.RepoDigest() == "" || !s.hasAll(rec) {
		t.Errorf("%+v %v", rec, err)
	}
}

func (w *workshop) load(s *Store, name string) []Record {
	w.Helper()
	f, err := os.Open(name)
	if err != nil {
		w.Fatal(err)
	}
	defer f.Close()
	recs, err := s.Load(context.Background(), f)
	if err != nil {
		w.Fatal(err)
	}
	return recs
}

// TestSaveAndLoad: skopeo reads what we save in both of its forms, we read it back,
// and layouts as directories.
func TestSaveAndLoad(t *testing.T) {
	w := newWorkshop(t)
	ctx := context.Background()
	want := w.unpacked(w.dir + "/made:v1")
	s := testStore(t)
	w.skopeo("oci:"+w.dir+"/made:v1", "docker://"+w.addr+"/team/app:v1")
	rec := mustPull(t, s, w.client, w.addr+"/team/app:v1")
	if err := s.Tag(ctx, w.addr+"/team/app:v1", "plain:2"); err != nil {
		t.Fatal(err)
	}
	file := w.dir + "/saved.tar"
	for range 2 { // the same bytes each time
		old, _ := os.ReadFile(file)
		f, err := os.Create(file)
		if err == nil {
			err = s.Save(ctx, []string{w.addr + "/team/app:v1", "plain:2"}, f)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if now, _ := os.ReadFile(file); old != nil && string(now) != string(old) {
			t.Error("two archives of the same images differ")
		}
	}
	w.skopeo("docker-archive:"+file+":plain:2", "oci:"+w.dir+"/a:v1")
	w.same("as docker-archive", w.unpacked(w.dir+"/a:v1"), want)
	w.skopeo("oci-archive:"+file+":v1", "oci:"+w.dir+"/b:v1")
	w.same("as oci-archive", w.unpacked(w.dir+"/b:v1"), want)

	for name, from := range map[string]string{"archive": file, "compressed": w.compress(file), "pipe": w.pipe(file)} {
		s := testStore(t)
		recs := w.load(s, from)
		var names []string
		for _, r := range recs {
			names = append(names, Familiar(r.Image.Ref))
			if r.Manifest.Digest != rec.Manifest.Digest || r.Image.Digest != rec.Image.Digest {
				t.Errorf("%s: another digest: %+v", name, r)
			}
		}
		if fmt.Sprint(names) != fmt.Sprint([]string{w.addr + "/team/app:v1", "plain:2"}) {
			t.Errorf("%s: names %v", name, names)
		}
		w.same(name, w.shown(recs[0].Image), want)
		checkTidy(t, s)
	}
	t.Run("layout", func(t *testing.T) {
		s := testStore(t)
		recs := w.load(s, w.dir+"/made")
		if len(recs) != 1 || recs[0].Tagged() || recs[0].Image.Ref != recs[0].Image.Digest {
			t.Errorf("%+v", recs)
		}
	})
}

func (w *workshop) compress(file string) string {
	w.run("sh", "-c", `gzip -1 <"$0" >"$0.gz"`, file)
	return file + ".gz"
}

// pipe gives a FIFO into which the file is written.
func (w *workshop) pipe(file string) string {
	w.Helper()
	name := filepath.Join(w.dir, "pipe")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		w.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `cat "$0" >"$1"`, file, name)
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { cmd.Wait() })
	return name
}
