package rootfs

import (
	"os"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestUserNamespacesAreShared(t *testing.T) {
	needRoot(t)
	var u UserNamespaces
	defer u.Close()
	one := []specs.LinuxIDMapping{{ContainerID: 0, HostID: rangeStart, Size: 10}, {ContainerID: 50, HostID: 5, Size: 1}}
	two := []specs.LinuxIDMapping{{ContainerID: 1, HostID: rangeStart, Size: 10}}
	names := make([]string, 12)
	var wg sync.WaitGroup
	for i := range names {
		wg.Go(func() {
			m := one
			if i%2 == 1 {
				m = two
			}
			ns, err := u.Get(m, m)
			if err != nil {
				t.Error(err)
				return
			}
			defer ns.Close()
			names[i], _ = os.Readlink(procPath(int(ns.Fd())))
		})
	}
	wg.Wait()
	if names[0] == names[1] || names[0] == "" {
		t.Errorf("different mappings share %q", names[0])
	}
	for i, name := range names {
		if name != names[i%2] {
			t.Errorf("got %q and %q for one mapping", name, names[i%2])
		}
	}
}

func TestUserNamespaceErrors(t *testing.T) {
	needRoot(t)
	bad := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1, Size: 10}, {ContainerID: 5, HostID: 100, Size: 10}}
	if ns, err := NewUserNamespace(bad, bad); err == nil {
		ns.Close()
		t.Error("overlapping ranges were accepted")
	}
}

func BenchmarkNewUserNamespace(b *testing.B) {
	needRoot(b)
	m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: rangeStart, Size: 10}}
	for b.Loop() {
		ns, err := NewUserNamespace(m, m)
		if err != nil {
			b.Fatal(err)
		}
		ns.Close()
	}
}
