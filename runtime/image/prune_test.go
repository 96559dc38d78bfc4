package image

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// TestPruneNamesWhatIsDamaged: an image whose manifest a power failure spoilt keeps
// others from being removed, says that it is the one, and can be removed itself.
func TestPruneNamesWhatIsDamaged(t *testing.T) {
	s := testStore(t)
	ctx := context.Background()
	bad, err := s.Import(ctx, bytes.NewReader(makeTar(t, file("f", "x"))), ImportOptions{Name: "bad:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(ctx, bytes.NewReader(makeTar(t, file("g", "y"))), ImportOptions{Name: "good:1"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.blobPath(bad.Manifest.Digest), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prune(ctx, nobody, func(Record) bool { return false }); err == nil || !strings.Contains(err.Error(), "image bad:1 is damaged, remove it") {
		t.Errorf("prune: %v", err)
	}
	if _, err := s.Remove(ctx, "docker.io/library/bad:1", nobody, false); err != nil {
		t.Errorf("remove: %v", err)
	}
	if _, err := s.Prune(ctx, nobody, func(Record) bool { return true }); err != nil {
		t.Errorf("prune: %v", err)
	}
}
