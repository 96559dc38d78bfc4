package build_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stack/runtime/build"
	"stack/runtime/image"
)

// buildah is Debian's builder with a storage of its own, beside which ours is held.
// It has the image base:1.
type buildah struct {
	dir    string
	images *image.Store // what it built is read through a store, as ours is
	built  atomic.Int32
	left   atomic.Int32 // how many of the built have what RUN leaves
}

// startBuildah gives nil where it is not installed; in CI that is a failure.
func startBuildah(t *testing.T, s *suite) *buildah {
	t.Helper()
	if _, err := exec.LookPath("buildah"); err != nil {
		if os.Getenv("STACK_TEST_STRICT") != "" {
			t.Fatal("buildah is not installed; .ci/deps does that")
		}
		t.Log("not compared with buildah, which is not installed")
		return nil
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700"); err != nil { // it waits for disks a lot
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	b := &buildah{dir: dir}
	t.Cleanup(func() {
		if b.built.Load() > 30 && b.left.Load() == 0 {
			t.Error("RUN leaves nothing any more in what buildah makes")
		}
	})
	var err error
	if b.images, err = image.Open(filepath.Join(dir, "images"), nil); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"policy.json":     `{"default": [{"type": "insecureAcceptAnything"}]}`,
		"registries.conf": `unqualified-search-registries = ["docker.io"]`,
		"secret":          "hidden",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base := filepath.Join(dir, "base.tar")
	f, err := os.Create(base)
	if err == nil {
		err = s.images.Save(t.Context(), []string{"base:1"}, f)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if out, err := b.run(t, "pull", "-q", "--signature-policy", filepath.Join(dir, "policy.json"), "docker-archive:"+base); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return b
}

// run has a mount namespace for it, so that nothing stays mounted.
func (b *buildah) run(t *testing.T, verb string, args ...string) ([]byte, error) {
	global := []string{"--root", b.dir + "/root", "--runroot", b.dir + "/run", "--storage-driver", "overlay", verb}
	cmd := exec.CommandContext(t.Context(), "buildah", append(global, args...)...)
	cmd.Env = append(os.Environ(), "CONTAINERS_REGISTRIES_CONF="+b.dir+"/registries.conf", "STORAGE_DRIVER=overlay", "TMPDIR="+b.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	return cmd.CombinedOutput()
}

// build makes the image of a request, or gives what buildah says against it.
func (b *buildah) build(t *testing.T, q build.Request, archive string) (said string, err error) {
	args := []string{"-q", "--isolation", "chroot", "--format", "docker", "--pull-never", "--signature-policy", b.dir + "/policy.json",
		"--secret", "id=s,src=" + b.dir + "/secret", "-t", q.Tags[0]}
	for k, v := range q.Args {
		args = append(args, "--build-arg", k+"="+v)
	}
	if q.Target != "" {
		args = append(args, "--target", q.Target)
	}
	if out, err := b.run(t, "build", append(args, q.Context)...); err != nil {
		return string(out), err
	}
	out, err := b.run(t, "push", "-q", "--signature-policy", b.dir+"/policy.json", q.Tags[0], "docker-archive:"+archive+":"+q.Tags[0])
	return string(out), err
}

// compare builds the request once more and holds the two images side by side.
func (b *buildah) compare(t *testing.T, name string, q build.Request, ours image.Image) {
	known := buildahDiffers()[name]
	archive := filepath.Join(b.dir, name+".tar")
	defer os.Remove(archive)
	said, err := b.build(t, q, archive)
	if known.refuses != "" {
		if err == nil || !strings.Contains(said, known.refuses) {
			t.Errorf("buildah should refuse it, as %s; now it says: %v %s", known.why, err, said)
		}
		return
	}
	if err != nil {
		t.Fatalf("buildah: %v\n%s", err, said)
	}
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	recs, err := b.images.Load(t.Context(), f)
	if err != nil || len(recs) != 1 {
		t.Fatalf("%v %v", recs, err)
	}
	b.built.Add(1)
	theirs := recs[0].Image
	delete(theirs.Config.Labels, "io.buildah.version")
	got := append(unlike(wholeTree(t, ours), wholeTree(t, theirs)), unlike(settings(ours), settings(theirs))...)
	if rest := slices.DeleteFunc(slices.Clone(got), leftByRun); len(rest) == len(got)-runLeaves {
		got = rest
		b.left.Add(1)
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(known.lines)); !slices.Equal(got, want) {
		t.Errorf("beside buildah's:\n%s\nwant (%s)\n%s", strings.Join(got, "\n"), known.why, strings.Join(want, "\n"))
	}
}

// unlike tells what two descriptions do not have in common.
func unlike(ours, theirs map[string]string) []string {
	var out []string
	names := maps.Clone(ours)
	maps.Copy(names, theirs)
	for name := range names {
		if ours[name] != theirs[name] {
			out = append(out, fmt.Sprintf("%s: stack [%s] buildah [%s]", name, ours[name], theirs[name]))
		}
	}
	return out
}

// settings are an image's configuration. Nothing and an empty list are one.
func settings(img image.Image) map[string]string {
	c := img.Config
	out := map[string]string{
		"Env": fmt.Sprintf("%q", c.Env), "Cmd": fmt.Sprintf("%q", c.Cmd), "Entrypoint": fmt.Sprintf("%q", c.Entrypoint),
		"WorkingDir": c.WorkingDir, "User": c.User, "StopSignal": c.StopSignal,
		"Labels": fmt.Sprint(c.Labels), "ExposedPorts": fmt.Sprint(c.ExposedPorts), "Volumes": fmt.Sprint(c.Volumes),
	}
	if h := img.Healthcheck; h != nil {
		out["Healthcheck"] = fmt.Sprintf("%+v", *h)
	}
	return out
}

// wholeTree has each file's type, mode, owner, size, content, links and extended
// attributes.
func wholeTree(t *testing.T, img image.Image) map[string]string {
	t.Helper()
	root := mountLayers(t, img.Layers)
	found, linked := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root) + "/"
		text := fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + short(data)
			if first := linked[st.Ino]; first != "" {
				text += " = " + first
			}
			linked[st.Ino] = name
		case unix.S_IFLNK:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " -> " + to
		case unix.S_IFCHR, unix.S_IFBLK:
			text += fmt.Sprintf(" %x", st.Rdev)
		}
		attrs, err := xattrs(path)
		found[name] = text + attrs
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// short is a file's size and its content or, if that is long, its digest.
func short(data []byte) string {
	if len(data) < 200 {
		return fmt.Sprintf("%d %q", len(data), data)
	}
	return fmt.Sprintf("%d %x", len(data), sha256.Sum256(data))
}

func xattrs(path string) (string, error) {
	names := make([]byte, 4096)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return "", fmt.Errorf("cannot list the attributes of %s: %w", path, err)
	}
	text := ""
	for _, name := range slices.Sorted(strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00")) {
		if name == "" || strings.HasPrefix(name, "trusted.overlay.") {
			continue
		}
		value := make([]byte, 4096)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", fmt.Errorf("cannot read %s of %s: %w", name, path, err)
		}
		text += fmt.Sprintf(" %s=%q", name, value[:n])
	}
	return text, nil
}
