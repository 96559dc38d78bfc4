package scheduler

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/cdi"
)

// hostDevices looks up the devices that a service names or limits, or for a privileged one
// all below /dev but terminals, which belong to their sessions.
func hostDevices(s types.ServiceConfig) map[string]DeviceNode {
	out := map[string]DeviceNode{}
	add := func(path string) {
		if n, ok := deviceNode(path); ok {
			out[path] = n
		}
	}
	for _, path := range blockDevices(s.BlkioConfig) {
		add(path)
	}
	roots := []string{}
	for _, d := range s.Devices {
		if !cdi.IsName(d.Source) {
			roots = append(roots, d.Source)
		}
	}
	if s.Privileged {
		roots = append(roots, "/dev")
	}
	for _, root := range roots {
		add(root)
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return nil // vanished or forbidden: not a device for anybody
			case d.IsDir() && (path == "/dev/pts" || path == "/dev/shm" || path == "/dev/mqueue"):
				return filepath.SkipDir
			case d.Type()&fs.ModeDevice != 0 && !strings.HasPrefix(d.Name(), "tty"):
				add(path)
			}
			return nil
		})
	}
	return out
}

func deviceNode(path string) (DeviceNode, bool) {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&fs.ModeDevice == 0 {
		return DeviceNode{}, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return DeviceNode{}, false
	}
	kind := "b"
	if info.Mode()&fs.ModeCharDevice != 0 {
		kind = "c"
	}
	major, minor := deviceNumber(uint64(st.Rdev))
	return DeviceNode{Type: kind, Major: major, Minor: minor, Mode: info.Mode().Perm(), UID: st.Uid, GID: st.Gid}, true
}

// deviceNumber takes a dev_t apart as glibc's gnu_dev_major and gnu_dev_minor do.
func deviceNumber(dev uint64) (major, minor int64) {
	major = int64(dev>>8&0xfff | dev>>32&^0xfff)
	minor = int64(dev&0xff | dev>>12&0xffffff00)
	return major, minor
}

// blockNodes looks up the block devices that services limit.
func blockNodes(services ...types.ServiceConfig) map[string]DeviceNode {
	out := map[string]DeviceNode{}
	for _, s := range services {
		for _, path := range blockDevices(s.BlkioConfig) {
			if n, ok := deviceNode(path); ok {
				out[path] = n
			}
		}
	}
	return out
}

// withoutGone is a service without its limits of devices, if one of them is not on
// the machine any more: the kernel has forgotten its limits as well.
func withoutGone(s types.ServiceConfig, m Machine) types.ServiceConfig {
	for _, path := range blockDevices(s.BlkioConfig) {
		if _, here := m.Devices[path]; !here {
			s.BlkioConfig = nil
			break
		}
	}
	return s
}
