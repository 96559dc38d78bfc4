package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Paths inside the machine.
const (
	modulesDir = "/modules" // in the order in which they are to be loaded
	layersDir  = "/mnt/layers"
	sharedDir  = "/mnt/shared"
	diskDir    = "/mnt/disk"
	recordsDir = "/run/containers"
	cgroupRoot = "/sys/fs/cgroup"
	// containerGroup is the container's control group. Whatever runs in there has one
	// share of the processors together, and this process another.
	containerGroup = "container"
)

// mountpoint is one of the file systems that every Linux has.
type mountpoint struct{ kind, at, data string }

// boot makes a usable system of a bare kernel.
func boot() error {
	for _, m := range []mountpoint{
		{"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"devtmpfs", "/dev", ""},
		{"devpts", "/dev/pts", "ptmxmode=0666"}, {"tmpfs", "/dev/shm", ""}, {"tmpfs", "/run", "mode=755"}, {"tmpfs", "/tmp", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
	} {
		if err := mount(m.kind, m.kind, m.at, 0, m.data); err != nil {
			return err
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := delegate(); err != nil {
		return err
	}
	return leaveInitramfs()
}

func mount(source, kind, at string, flags uintptr, data string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, at, kind, flags, data); err != nil {
		return fmt.Errorf("cannot mount %s at %s: %w", kind, at, err)
	}
	return nil
}

// loadModules loads what the kernel needs for the machine's devices. One for hardware
// that is not there says so.
func loadModules() error {
	names, err := filepath.Glob(modulesDir + "/*")
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := loadModule(name); err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("cannot load module %s: %w", filepath.Base(name), err)
		}
	}
	return nil
}

func loadModule(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// delegate lets control groups below the root have every controller.
func delegate() error {
	b, err := os.ReadFile(cgroupRoot + "/cgroup.controllers")
	if err != nil {
		return err
	}
	words := strings.Fields(string(b))
	for i := range words {
		words[i] = "+" + words[i]
	}
	return os.WriteFile(cgroupRoot+"/cgroup.subtree_control", []byte(strings.Join(words, " ")), 0)
}

// leaveInitramfs moves to a root that can be pivoted away from: the same files, as
// a mount of their own.
func leaveInitramfs() error {
	const newRoot = "/root"
	if err := os.MkdirAll(newRoot, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("/", newRoot, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("cannot bind the root: %w", err)
	}
	if err := unix.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("cannot move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// openPort opens the virtio-serial port of a name.
func openPort(name string) (*os.File, error) {
	list, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return nil, err
	}
	for _, file := range list {
		b, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(b)) == name {
			return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(file)), os.O_RDWR, 0)
		}
	}
	return nil, fmt.Errorf("there is no port %q", name)
}

// powerOff ends the machine.
func powerOff() {
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	for {
		unix.Pause()
	}
}
