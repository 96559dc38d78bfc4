package shim

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Shim and controller begin with room for the descriptors of many replicas.
func TestRoomForDescriptors(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur <= descriptorRoom+8 {
		t.Fatalf("the test needs more than %d descriptors (%v)", descriptorRoom+8, err)
	}
	s := newStack(t)
	for who, pid := range map[string]int{"shim": s.pid, "controller": s.order(order{Do: "state"}).Pid} {
		if got := tableSize(t, pid); got < descriptorRoom {
			t.Errorf("the %s began with a table of %d descriptors, want at least %d", who, got, descriptorRoom)
		}
	}
}

func tableSize(t *testing.T, pid int) (n int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "\nFDSize:")
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRoomIsClosed(t *testing.T) {
	files := withRoom(0, 1, 2)
	if len(files) != descriptorRoom {
		t.Fatalf("%d descriptors, want %d", len(files), descriptorRoom)
	}
	for i, fd := range files[3:] {
		if int(fd) != -1 {
			t.Fatalf("descriptor %d is inherited", i+3)
		}
	}
}
