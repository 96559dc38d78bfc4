package image

import (
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
