package build_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"golang.org/x/tools/txtar"

	"stack/runtime/build"
	"stack/runtime/image"
	"stack/runtime/runtimetest"
)

var update = flag.Bool("update", false, "write what was built as what is wanted")

// TestDockerfiles builds each testdata/NAME.txtar and compares the files that the
// image has beside its base's, and its configuration, with the archive's want-tree
// and want-config, and the whole image with buildah's.
func TestDockerfiles(t *testing.T) {
	s := startBuilder(t)
	s.peer = startBuildah(t, s)
	names, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(names) < 40 {
		t.Fatalf("%d cases: %v", len(names), err)
	}
	t.Cleanup(func() {
		if s.built.Load() > 30 && s.shared.Load() < 20 {
			t.Errorf("only %d images share what they have with the cache", s.shared.Load())
		}
	})
	for name := range buildahDiffers() {
		if !slices.Contains(names, filepath.Join("testdata", name+".txtar")) {
			t.Errorf("buildah's difference %s is of no case", name)
		}
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			s.check(t, name)
		})
	}
}

// suite is a builder, with a store that has the image base:1.
type suite struct {
	machine build.Machine
	program string
	env     []string // the program's
	images  *image.Store
	base    map[string]string // its tree
	peer    *buildah
	built   atomic.Int32 // images
	shared  atomic.Int32 // those whose files were looked at: see checkShared
}

func startBuilder(t *testing.T) *suite {
	needRoot(t)
	dir, err := os.MkdirTemp("/var/tmp", "build-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &suite{machine: build.Machine{
		Run: filepath.Join(dir, "run"), Lib: filepath.Join(dir, "lib"), Images: filepath.Join(dir, "images"),
		Networks: filepath.Join(dir, "networks"),
		IDs:      specs.LinuxIDMapping{HostID: 0x6e000000, Size: 65536}, Idle: time.Minute,
	}}
	s.program = buildProgram(t, dir)
	s.env = append(os.Environ(), watchRaces(t)...)
	for _, d := range []string{build.RunDir(s.machine), build.Dir(s.machine)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if s.images, err = image.Open(s.machine.Images, nil); err != nil {
		t.Fatal(err)
	}
	archive, err := runtimetest.BusyboxTar()
	if err != nil {
		t.Fatal(err)
	}
	rec, err := s.images.Import(t.Context(), bytes.NewReader(archive), image.ImportOptions{Name: "base:1", Now: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	s.base = tree(t, rec.Image, nil)
	s.serve(t)
	return s
}

func (s *suite) check(t *testing.T, name string) {
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	want := writeContext(t, dir, a)
	tag := "docker.io/library/" + strings.ToLower(filepath.Base(dir)) + filepath.Base(filepath.Dir(dir))
	tag = strings.ToLower(strings.NewReplacer("TestDockerfiles", "").Replace(tag)) + ":1"
	q := build.Request{Service: "it", Tags: []string{tag}, Context: dir, Args: map[string]string{}, Secrets: []build.Secret{{ID: "s", Value: []byte("hidden")}}}
	for line := range strings.Lines(string(a.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "#")), ": ")
		switch key {
		case "args":
			k, v, _ := strings.Cut(value, "=")
			q.Args[k] = v
		case "target":
			q.Target = value
		}
	}
	img := s.build(t, q)
	got := map[string]string{"want-tree": strings.Join(lines(tree(t, img, s.base)), "\n") + "\n", "want-config": config(t, img)}
	if *update {
		writeWant(t, name, a, got)
		return
	}
	for _, part := range []string{"want-tree", "want-config"} {
		if got[part] != want[part] {
			t.Errorf("%s: got\n%s\nwant\n%s", part, got[part], want[part])
		}
	}
	if s.peer != nil {
		s.peer.compare(t, strings.TrimSuffix(filepath.Base(name), ".txtar"), q, img)
	}
}

func (s *suite) build(t *testing.T, q build.Request) image.Image {
	t.Helper()
	var out bytes.Buffer
	job := build.Job{Machine: s.machine, Images: []build.Request{q}, Progress: "plain"}
	results, err := build.Runner{Path: s.program, Out: &out, Err: t.Output(), Env: s.env}.Run(t.Context(), job)
	if err == nil {
		err = build.Failure(results)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	img, err := s.images.Resolve(t.Context(), q.Tags[0], "")
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.images.List()
	rec, _ := image.FindFor(all, q.Tags[0], "")
	base, berr := s.images.Base(rec)
	if err != nil || berr != nil {
		t.Fatal(err, berr)
	}
	for _, l := range base.Layers {
		if l.Blob.Digest != l.DiffID {
			t.Errorf("layer %s was compressed", l.DiffID)
		}
	}
	s.built.Add(1)
	s.checkShared(t, img, base)
	if img.Digest != results[0].Image {
		t.Errorf("the store has %s, the result says %s", img.Digest, results[0].Image)
	}
	return img
}

// checkShared sees that what was built lies once on the disk as an archive and once as
// files, not in the builder's cache and in the image store each.
func (s *suite) checkShared(t *testing.T, img image.Image, base image.Base) {
	t.Helper()
	top := base.Layers[len(base.Layers)-1].Blob.Digest
	cached, err := os.Stat(filepath.Join(build.Dir(s.machine), "content", "blobs", "sha256", top.Encoded()))
	if errors.Is(err, fs.ErrNotExist) {
		return // nothing was built on the base
	}
	kept, kerr := os.Stat(filepath.Join(s.machine.Images, "blobs", "sha256", top.Encoded()))
	if err != nil || kerr != nil || !os.SameFile(cached, kept) {
		t.Errorf("layer %s is there twice: %v %v", top, err, kerr)
	}
	err = filepath.WalkDir(img.Layers[0], func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Nlink < 2 {
			t.Errorf("%s was copied", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	s.shared.Add(1)
}

// writeContext writes the archive's files: ">NAME" is a symbolic link, "+NAME" a tar
// archive of NAME=CONTENT words.
func writeContext(t *testing.T, dir string, a *txtar.Archive) (want map[string]string) {
	t.Helper()
	want = map[string]string{}
	for _, f := range a.Files {
		data := f.Data
		name, isLink := strings.CutPrefix(f.Name, ">")
		name, isTar := strings.CutPrefix(name, "+tar ")
		if strings.HasPrefix(name, "want-") {
			want[name] = string(data)
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if isTar {
			data = tarOf(t, strings.Fields(string(data)))
		}
		var err error
		if isLink {
			err = os.Symlink(strings.TrimSpace(string(data)), path)
		} else {
			err = os.WriteFile(path, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return want
}

func writeWant(t *testing.T, name string, a *txtar.Archive, got map[string]string) {
	t.Helper()
	a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want-") })
	for _, part := range []string{"want-tree", "want-config"} {
		a.Files = append(a.Files, txtar.File{Name: part, Data: []byte(got[part])})
	}
	if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tree lists the merged files of an image that are not the same in base.
func tree(t *testing.T, img image.Image, base map[string]string) map[string]string {
	t.Helper()
	root := mountLayers(t, img.Layers)
	found, linked := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if rel != "." {
			found[rel], err = describe(path)
		}
		if st, serr := os.Lstat(path); serr == nil && st.Mode().IsRegular() {
			ino := st.Sys().(*syscall.Stat_t).Ino
			if first := linked[ino]; first != "" {
				found[rel] = "= " + first
			}
			linked[ino] = rel
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, onBase := found["bin/busybox"]; !onBase {
		return found
	}
	for name, old := range base {
		if now, ok := found[name]; !ok {
			found[name] = "gone"
		} else if now == old {
			delete(found, name)
		}
	}
	return found
}

// mountLayers shows layers as a container would see them.
func mountLayers(t *testing.T, layers []string) string {
	t.Helper()
	if len(layers) == 1 {
		return layers[0]
	}
	dir := t.TempDir()
	if err := unix.Mount("overlay", dir, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(layers, ":")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// describe is what a file is: mode, owner, kind, and a beginning of its content.
func describe(path string) (string, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	sys := st.Sys().(*syscall.Stat_t)
	text := fmt.Sprintf("%v %d:%d", st.Mode(), sys.Uid, sys.Gid)
	switch {
	case st.Mode().IsRegular():
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if st.ModTime().Year() < 2005 && st.ModTime().Unix() > 0 {
			text += " " + st.ModTime().UTC().Format(time.DateTime)
		}
		return text + fmt.Sprintf(" %.300q", data), nil
	case st.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		return text + " -> " + to, err
	}
	return text, nil
}

func lines(tree map[string]string) []string {
	var out []string
	for name, what := range tree {
		out = append(out, name+" "+what)
	}
	slices.Sort(out)
	return out
}

func config(t *testing.T, img image.Image) string {
	t.Helper()
	data, err := json.MarshalIndent(struct {
		Config      any
		Healthcheck any `json:",omitempty"`
	}{img.Config, img.Healthcheck}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return string(data) + "\n"
}
