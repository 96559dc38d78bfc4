package vm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stack/runtime/runtimetest"
	"stack/runtime/vm/kernel"
	"stack/runtime/vm/vmtest"
)

// TestAcceleration: whether KVM works is found out once, and told once.
func TestAcceleration(t *testing.T) {
	if os.Getuid() != 0 {
		runtimetest.Skip(t, "needs root")
	}
	k, err := kernel.Find(vmtest.Kernels(t, repo), "")
	if err != nil {
		t.Fatal(err)
	}
	m := machine{arch: "amd64", kernel: k}
	if m.qemu, err = findHypervisor(m.arch); err != nil {
		t.Fatal(err)
	}
	rt := New(Options{Home: t.TempDir()})
	works, warning, err := rt.acceleration(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if works == strings.Contains(warning, "software emulation") {
		t.Errorf("works: %v, told: %q", works, warning)
	}
	if again, told, err := rt.acceleration(t.Context(), m); again != works || told != "" || err != nil {
		t.Errorf("again: %v, %q, %v", again, told, err)
	}
	// After a reboot it is found out anew; a hypervisor that says nothing is none.
	if err := os.WriteFile(filepath.Join(rt.o.Home, "kvm.json"), []byte(`{"Version":1,"Boot":"another","Works":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	m.qemu = "/bin/false"
	if works, warning, err := rt.acceleration(t.Context(), m); works || warning == "" || err != nil {
		t.Errorf("with a hypervisor that ends: %v, %q, %v", works, warning, err)
	}
}
