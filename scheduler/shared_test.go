package scheduler

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"stack/runtime/image"
)

// Replicas share what the first looked up; the next command looks again.
func TestSharedAccounts(t *testing.T) {
	root := t.TempDir()
	passwd := func(line string) {
		if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	img := image.Image{Digest: "sha256:1", Layers: []string{root}}
	uid := func(s *shared, user string) uint32 {
		a, err := s.account(img, user, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a.user.UID
	}
	passwd("web:x:7:7::/:/bin/sh")
	s := newShared()
	first := uid(s, "web")
	passwd("web:x:8:8::/:/bin/sh")
	if again := uid(s, "web"); first != 7 || again != 7 {
		t.Errorf("replicas of one start are %d and %d, want 7 both", first, again)
	}
	if other := uid(s, "9"); other != 9 {
		t.Errorf("another user is %d", other)
	}
	if later := uid(newShared(), "web"); later != 8 {
		t.Errorf("after the next command it is %d, want 8", later)
	}
}

func TestSharedSeccomp(t *testing.T) {
	made := 0
	s := newShared()
	get := s.seccomp(func([]string) (*Seccomp, error) { made++; return &Seccomp{}, nil })
	a, _ := get([]string{"CAP_CHOWN"})
	b, _ := get([]string{"CAP_CHOWN"})
	c, _ := get([]string{"CAP_KILL"})
	if a != b || a == c || made != 2 {
		t.Errorf("%d profiles for two sets of capabilities", made)
	}
	if s.seccomp(nil) != nil {
		t.Error("no profile at hand looks like one")
	}
}

func TestIDsAreReadOnce(t *testing.T) {
	s := &Store{Layout: Layout{Lib: t.TempDir()}, Project: "p"}
	first, err := s.AllocateIDs()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.Layout.Lib, "subids.json")
	if err := os.WriteFile(file, []byte("not to be read"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := s.AllocateIDs(); err != nil || again != first {
		t.Errorf("%v, %v after %v", again, err, first)
	}
	if err := s.ReleaseIDs(); err == nil {
		t.Fatal("a broken file is released from")
	}
	if _, err := s.AllocateIDs(); err == nil {
		t.Error("the range outlives its release")
	}
}

func TestCompareNames(t *testing.T) {
	sorted := []string{"a", "a-1", "a-2", "a-10", "a-10-b", "b", "b1", "b01c", "web-1", "web-20"}
	for range 20 {
		got := slices.Clone(sorted)
		slices.Reverse(got)
		if slices.SortFunc(got, compareNames); !slices.Equal(got, sorted) {
			t.Fatalf("got %v", got)
		}
	}
	if n := testing.AllocsPerRun(10, func() { compareNames("project-web-12", "project-web-13") }); n > 0 {
		t.Errorf("%v allocations a comparison: every turn of the loop makes hundreds", n)
	}
}
