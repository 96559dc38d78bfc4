package guest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"stack/runtime/vm/wire"
)

// Options of the shares: files of layers never change, those of volumes may be
// changed by others at any time.
const (
	shareOptions  = "trans=virtio,version=9p2000.L,msize=262144,cache="
	layersCaching = "loose"
	sharedCaching = "mmap"
)

// furnish sets up what the container is made of.
func (g *Guest) furnish(m *wire.Machine) error {
	if err := mount("layers", "9p", layersDir, unix.MS_RDONLY, shareOptions+layersCaching); err != nil {
		return err
	}
	if m.Shared {
		if err := mount("shared", "9p", sharedDir, 0, shareOptions+sharedCaching+",access=client"); err != nil {
			return err
		}
	}
	if m.Disk {
		if err := mount("/dev/vda", "ext4", diskDir, unix.MS_NOATIME, ""); err != nil {
			return err
		}
	}
	if err := setUpInterfaces(m.Interfaces); err != nil {
		return err
	}
	for key, value := range m.Sysctls {
		path := filepath.Join("/proc/sys", filepath.Clean("/"+strings.ReplaceAll(key, ".", "/")))
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return fmt.Errorf("cannot set sysctl %q: %w", key, err)
		}
	}
	if m.Resolver.IsValid() {
		return g.serveNames(m.Resolver)
	}
	return nil
}

// unfurnish leaves the disk as one that was unmounted.
func unfurnish() {
	for _, dir := range []string{diskDir, sharedDir} {
		if err := unix.Unmount(dir, 0); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			fmt.Fprintf(os.Stderr, "stack: machine: cannot unmount %s: %v\n", dir, err)
		}
	}
	unix.Sync()
}

// oomKills is how many of the container's processes died of memory.
func oomKills() int {
	b, err := os.ReadFile(filepath.Join(cgroupRoot, containerGroup, "memory.events"))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "oom_kill "); ok {
			count, _ := strconv.Atoi(n)
			return count
		}
	}
	return 0
}
