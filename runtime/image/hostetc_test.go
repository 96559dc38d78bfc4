package image

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Parents come first, and a directory's tree stays together.
func TestComparePaths(t *testing.T) {
	want := []string{"a", "a/b", "a/b/c", "a/c", "a!", "a-b", "ab", "b"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, comparePaths)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestListEtcLeavesOutManuals(t *testing.T) {
	etc := t.TempDir()
	if err := os.Mkdir(filepath.Join(etc, "alternatives"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"awk", "awk.1.gz"} {
		if err := os.Symlink("/usr/bin/true", filepath.Join(etc, "alternatives", name)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := listEtc(etc)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.name)
	}
	if want := []string{"alternatives", "alternatives/awk"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
