package image

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestFind(t *testing.T) {
	rec := func(ref, digest string) Record { return Record{Image: Image{Ref: ref, Digest: digest}} }
	all := []Record{rec("oci:/a:v1", "sha256:abcd1"), rec("oci:/a:v2", "sha256:abcd1"), rec("oci:/b", "sha256:abce2"), rec("oci:/d", "sha256:abcd1")}
	for _, c := range []struct {
		name, ref string
		err       error
	}{
		{"oci:/a:v2", "oci:/a:v2", nil}, {"sha256:abce2", "oci:/b", nil}, {"abce", "oci:/b", nil}, {"sha256:abce", "oci:/b", nil},
		{"abcd", "oci:/a:v1", nil}, // one image under two references
		{"abc", "", ErrAmbiguous}, {"sha256:", "", ErrNotFound}, {"", "", ErrNotFound}, {"oci:/c", "", ErrNotFound},
	} {
		got, err := Find(all, c.name)
		if !errors.Is(err, c.err) || got.Image.Ref != c.ref {
			t.Errorf("%q: got %q, %v", c.name, got.Image.Ref, err)
		}
	}
}

func TestSplitReference(t *testing.T) {
	for ref, want := range map[string][2]string{
		"rootfs:/":              {"rootfs:/", ""},
		"oci:/srv/app:v1":       {"oci:/srv/app", "v1"},
		"docker-archive:/a.tar": {"docker-archive:/a.tar", ""},
		"nginx":                 {"nginx", ""},
		"nginx:1.27":            {"nginx", "1.27"},
		"host:5000/app":         {"host:5000/app", ""},
		"host:5000/app:2":       {"host:5000/app", "2"},
		"nginx@sha256:00":       {"nginx", ""},

		"docker.io/library/nginx:1.27": {"nginx", "1.27"},
		"docker.io/me/app:2":           {"me/app", "2"},
		"sha256:0123456789012345678901234567890123456789012345678901234567890123": {"<none>", ""},
	} {
		if repository, tag := SplitReference(ref); [2]string{repository, tag} != want {
			t.Errorf("%s: got %q %q", ref, repository, tag)
		}
	}
}

// TestDiskUse counts a file with two names once and follows no link out.
func TestDiskUse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	one, err := DiskUse(dir)
	if err != nil || one < 1<<20 {
		t.Fatalf("got %d, %v", one, err)
	}
	if err := errors.Join(os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")), os.Symlink("/usr", filepath.Join(dir, "c"))); err != nil {
		t.Fatal(err)
	}
	if two, err := DiskUse(dir); err != nil || two > one+8192 {
		t.Errorf("got %d after %d, %v", two, one, err)
	}
	if _, err := DiskUse(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there has no error")
	}
}
