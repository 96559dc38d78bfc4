package native

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// sysctl is a file below /proc/sys and what to write to it.
type sysctl struct{ name, file, value string }

// step is how the setting is called in errors.
func (s sysctl) step() string { return fmt.Sprintf("set sysctl %s to %q", s.name, s.value) }

// explainSysctl says why a setting that the host has is missing in a container:
// older kernels show some of a network namespace (all of net.core) only where it
// belongs to the host's user namespace.
func explainSysctl(err error, all []sysctl, userNS bool, onHost func(file string) bool) error {
	var failed *runtime.StepError
	if !userNS || !errors.As(err, &failed) || !errors.Is(failed.Err, unix.ENOENT) {
		return err
	}
	for _, s := range all {
		if s.step() == failed.Step && sysctlNamespace(s.file) == unix.CLONE_NEWNET && onHost(s.file) {
			return fmt.Errorf("%w: this kernel has it only outside of user namespaces (userns_mode: host)", err)
		}
	}
	return err
}

func onHost(file string) bool {
	_, err := os.Stat("/proc/sys/" + file)
	return err == nil
}

// newSysctls refuses every sysctl that does not belong to a namespace of the
// container: setting it would change the host.
func newSysctls(settings map[string]string, own uintptr) ([]sysctl, error) {
	var all []sysctl
	for name, value := range settings {
		file, err := sysctlFile(name)
		if err != nil {
			return nil, err
		}
		flag := sysctlNamespace(file)
		if flag == 0 {
			return nil, fmt.Errorf("sysctl %q belongs to no namespace: setting it would change the host", name)
		}
		if own&flag == 0 {
			return nil, fmt.Errorf("sysctl %q would change the host: the container shares that namespace", name)
		}
		all = append(all, sysctl{name, file, value})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].file < all[j].file })
	return all, nil
}

// sysctlFile turns a name into a path, as sysctl(8) does: the first separator
// says which of "." and "/" separates.
func sysctlFile(name string) (string, error) {
	file := name
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		file = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, name)
	}
	for _, part := range strings.Split(file, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return "", fmt.Errorf("invalid sysctl %q", name)
		}
	}
	return file, nil
}

func sysctlNamespace(file string) uintptr {
	switch {
	case strings.HasPrefix(file, "net/"):
		return unix.CLONE_NEWNET
	case strings.HasPrefix(file, "fs/mqueue/"):
		return unix.CLONE_NEWIPC
	}
	switch file {
	case "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
		"kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced":
		return unix.CLONE_NEWIPC
	case "kernel/domainname", "kernel/hostname":
		return unix.CLONE_NEWUTS
	}
	return 0
}
