package shim

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestProgramPages(t *testing.T) {
	for line, want := range map[string]bool{
		"00400000-00601000 r-xp 00000000 00:1f 12 /usr/bin/stack-shim":   true,
		"00601000-00834000 r--p 00201000 00:1f 12 /usr/bin/stack-shim":   true,
		"00834000-0084a000 rw-p 00434000 00:1f 12 /usr/bin/stack-shim":   false, // its changes would be lost
		"7f0000000000-7f0000001000 r--s 00000000 00:1f 12 /dev/shm/x":    false,
		"7f0000000000-7f0000001000 r--p 00000000 00:00 0 ":               false,
		"7ffff7ff0000-7ffff7ff4000 r--p 00000000 00:00 0         [vvar]": false,
		"x": false,
	} {
		if _, _, ok := programPages(line); ok != want {
			t.Errorf("%q: %v", line, ok)
		}
	}
	from, size, _ := programPages("00400000-00601000 r-xp 00000000 00:1f 12 /x")
	if from != 0x400000 || size != 0x201000 {
		t.Errorf("got %#x, %#x", from, size)
	}
}

// The program goes on with every page given back; one that was linked dynamically,
// as under the race detector, keeps them.
func TestGiveBack(t *testing.T) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	before := rss(t)
	giveBack()
	if dynamic(string(maps)) {
		return // that it ends without a fault is the test
	}
	if after := rss(t); after >= before {
		t.Errorf("resident file pages: %d kB before, %d kB after", before, after)
	}
}

func rss(t *testing.T) (kilobytes int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "RssFile:"); ok {
			fmt.Sscan(v, &kilobytes)
			return kilobytes
		}
	}
	t.Fatal("no RssFile")
	return 0
}
