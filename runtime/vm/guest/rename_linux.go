package guest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// ifreqNames is struct ifreq with two names.
type ifreqNames struct {
	name, newName [unix.IFNAMSIZ]byte
	_             [8]byte
}

// rename finds the device with the interface's hardware address.
func rename(i runtime.Interface) error {
	want, err := net.ParseMAC(i.MAC)
	if err != nil {
		return err
	}
	list, err := filepath.Glob("/sys/class/net/*/address")
	if err != nil {
		return err
	}
	for _, file := range list {
		b, err := os.ReadFile(file)
		name := filepath.Base(filepath.Dir(file))
		if err != nil || strings.TrimSpace(string(b)) != want.String() {
			continue
		}
		if name == i.Name {
			return nil
		}
		var r ifreqNames
		copy(r.name[:unix.IFNAMSIZ-1], name)
		copy(r.newName[:unix.IFNAMSIZ-1], i.Name)
		return control(unix.AF_INET, func(fd int) error { return ioctl(fd, unix.SIOCSIFNAME, unsafe.Pointer(&r)) })
	}
	return fmt.Errorf("no device has the address %s", i.MAC)
}
