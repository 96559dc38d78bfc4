package image

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func loadBytes(t *testing.T, s *Store, data []byte) ([]Record, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.tar")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return s.Load(context.Background(), f)
}

// TestLoadRefusesNames: an archive cannot give its image a name that means another
// one: that of a registry's digest, or of a path.
func TestLoadRefusesNames(t *testing.T) {
	layer := makeTar(t, file("f", "x"))
	config := string(testConfig(t, `{}`, layer))
	for _, name := range []string{"app@" + digest.FromString("x").String(), "rootfs:/", "oci:/srv", digest.FromString("x").String(), "../x", "A:1", ""} {
		s := testStore(t)
		data := archiveTar(t, []savedImage{{Config: "c", RepoTags: []string{name}, Layers: []string{"l"}}}, file("c", config), file("l", string(layer)))
		if _, err := loadBytes(t, s, data); err == nil {
			t.Errorf("%q was accepted", name)
		}
		if all, _ := s.List(); len(all) > 0 {
			t.Errorf("%q: %+v", name, all)
		}
	}
}

// TestLoadHostile: what is refused in a stack file's archive is refused here, and a
// bomb ends at the limit.
func TestLoadHostile(t *testing.T) {
	bad := makeTar(t, file("../x", "evil"))
	big := makeTar(t, file("zeros", strings.Repeat("\x00", 3<<20)))
	for name, data := range map[string][]byte{
		"escape":  archiveTar(t, []savedImage{{Config: "c", RepoTags: []string{"a:1"}, Layers: []string{"l"}}}, file("c", string(testConfig(t, `{}`, bad))), file("l", string(bad))),
		"bomb":    archiveTar(t, []savedImage{{Config: "c", RepoTags: []string{"a:1"}, Layers: []string{"l"}}}, file("c", string(testConfig(t, `{}`, big))), file("l", string(gzipped(t, big)))),
		"archive": gzipped(t, big),
	} {
		s := testStore(t)
		s.Limits = Limits{Entries: 100, Bytes: 2 << 20}
		if _, err := loadBytes(t, s, data); !errors.Is(err, ErrHostile) {
			t.Errorf("%s: %v", name, err)
		}
		if all, _ := s.List(); len(all) > 0 {
			t.Errorf("%s: %+v", name, all)
		}
		checkTidy(t, s)
	}
}

func TestImport(t *testing.T) {
	s := testStore(t)
	o := ImportOptions{Name: "made:1", Comment: "c", Changes: []string{"ENV A=b"}, Now: time.Unix(1e9, 0).UTC()}
	rec, err := s.Import(context.Background(), io.MultiReader(strings.NewReader(string(gzipped(t, makeTar(t, file("f", "x")))))), o)
	if err != nil {
		t.Fatal(err)
	}
	img, err := s.Resolve(context.Background(), "made:1", "")
	if err != nil || img.Digest != rec.Image.Digest || img.Config.Env[0] != "A=b" {
		t.Fatalf("%+v %v", img, err)
	}
	if data, err := os.ReadFile(filepath.Join(img.Layers[0], "f")); string(data) != "x" {
		t.Errorf("%q %v", data, err)
	}
	for _, name := range []string{"rootfs:/", "x@" + rec.Image.Digest, rec.Image.Digest} {
		o.Name = name
		if _, err := s.Import(context.Background(), strings.NewReader(string(makeTar(t))), o); err == nil {
			t.Errorf("imported as %q", name)
		}
		if err := s.Tag(context.Background(), "made:1", name); err == nil {
			t.Errorf("tagged as %q", name)
		}
	}
	checkTidy(t, s)
}
