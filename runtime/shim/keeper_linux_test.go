package shim

import (
	"os"
	"testing"
)

// A drop of an ID's earlier use, told late, leaves the present use alone.
func TestDropsOfEarlierUses(t *testing.T) {
	k := &Keeper{files: map[string]*os.File{}, adopts: map[string]Request{}, stdios: map[string]Request{}}
	for _, name := range []string{"stdout/a", "stderr/a", "pidfd/a"} {
		_, w := pipe(t)
		k.files[name] = w
	}
	k.stdios["a"] = Request{ID: "a", Gen: 2}
	k.adopts["a"] = Request{ID: "a", Gen: 3}
	for _, d := range []Drop{{"stdout/a", 1}, {"pidfd/a", 2}, {"stdout/b", 2}, {"else", 2}} {
		if k.dropped(d); len(k.files) != 3 {
			t.Fatalf("%+v dropped something", d)
		}
	}
	k.dropped(Drop{"stdout/a", 2})
	if _, ok := k.stdios["a"]; !ok || len(k.files) != 2 {
		t.Fatal("one stream's end is the container's")
	}
	k.dropped(Drop{"stderr/a", 2})
	k.dropped(Drop{"pidfd/a", 3})
	if len(k.stdios)+len(k.adopts)+len(k.files) != 0 {
		t.Fatalf("%+v", k)
	}
}
