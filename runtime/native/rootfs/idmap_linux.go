package rootfs

import (
	"fmt"
	"os"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// IDMapProbe tries which mounts of the host can be id-mapped and remembers the
// answers. The zero value is ready; it is safe for concurrent use.
type IDMapProbe struct {
	mu    sync.Mutex
	ns    *os.File
	known map[mountKey]error
}

// mountKey tells mounts apart: a file system may refuse below one mount what it
// grants below another.
type mountKey struct {
	mount        uint64
	major, minor uint32
}

// Try is nil where the mount that path lies on can be id-mapped. Errors:
// ErrNoIDMap, wrapped.
func (p *IDMapProbe) Try(path string) error {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_NO_AUTOMOUNT, unix.STATX_MNT_ID, &st); err != nil {
		return fmt.Errorf("cannot inspect %q: %w", path, err)
	}
	key := mountKey{st.Mnt_id, st.Dev_major, st.Dev_minor}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err, ok := p.known[key]; ok {
		return err
	}
	if p.ns == nil {
		ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0x6fff0000, Size: 65536}} // any
		ns, err := NewUserNamespace(ids, ids)
		if err != nil {
			return err
		}
		p.ns, p.known = ns, map[mountKey]error{}
	}
	err := ProbeIDMap(path, p.ns)
	p.known[key] = err
	return err
}
