package scheduler

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const withVolumes = `
services:
  a:
    image: rootfs:/img
    command: [a]
    network_mode: none
    volumes: ["shared:/shared", "own:/own"]
volumes:
  shared:
  own:
`

// TestDownLeavesUsedVolumes: data that another project's container mounts outlives
// down -v, which succeeds and says so.
func TestDownLeavesUsedVolumes(t *testing.T) {
	b := newBench(t)
	b.must(Command{Verb: VerbUp}, withVolumes)
	other := &Store{Layout: b.store.Layout, Project: "q"}
	if err := other.Init(); err != nil {
		t.Fatal(err)
	}
	user := &Instance{ID: newID(), Name: "q-b-1", Service: "b", State: StateExited, Volumes: []string{"p_shared"}}
	if err := other.SaveInstance(user); err != nil {
		t.Fatal(err)
	}
	sub := b.c.Bus.Subscribe()
	defer sub.Close()
	b.must(Command{Verb: VerbDown, Volumes: true}, "")
	var words []string
	for _, ev := range sub.Take() {
		if ev.Type == "volume" {
			words = append(words, ev.Name+" "+ev.Progress)
		}
	}
	slices.Sort(words)
	if got := strings.Join(words, "\n"); got != "p_own Removed\np_own Removing\np_shared Resource is still in use" {
		t.Errorf("told:\n%s", got)
	}
	for name, stays := range map[string]bool{"p_shared": true, "p_own": false} {
		if _, err := b.store.Layout.LoadVolume(name); (err == nil) != stays {
			t.Errorf("volume %s: %v", name, err)
		}
	}
	if users, err := b.store.Layout.VolumeInUse("p_shared", time.Now()); err != nil || len(users) != 1 || users[0] != "q-b-1" {
		t.Errorf("users: %v, %v", users, err)
	}
}
