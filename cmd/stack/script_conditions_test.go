package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"stack/runtime/quota"
)

// scriptCondition tells scripts what the machine can do.
//
//	exec:NAME  there is such a program
//	codes      the kernel keeps the exit codes of other processes' children (Linux 6.15)
//	machines   virtual machines can be run
//	registry   docker-registry and what goes with it is installed
//	nginx      nginx is installed
//	shop       the root file systems of examples/shop are at hand
//	v1         cgroup v1, also hybrid
//	realtime   with limits of real time
//	resource   this process has CAP_SYS_RESOURCE
//	quotas     scripts' state lies on a file system that enforces project quotas
//	bfq        a loop device can have the I/O scheduler that knows weights
func scriptCondition(t *testing.T, cond string) (bool, error) {
	if name, ok := strings.CutPrefix(cond, "exec:"); ok {
		_, err := exec.LookPath(name)
		return err == nil, nil
	}
	switch cond {
	case "codes":
		return keepsCodes()
	case "machines":
		return haveMachines(t)
	case "registry":
		return haveRegistry()
	case "nginx":
		return havePrograms("nginx")
	case "shop":
		return shopRoots(t)
	case "v1":
		return !present("/sys/fs/cgroup/cgroup.controllers"), nil
	case "realtime":
		return present("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"), nil
	case "resource":
		return hasResource()
	case "quotas":
		return haveQuotas()
	case "bfq":
		names, _ := os.ReadFile("/sys/block/loop6/queue/scheduler")
		return strings.Contains(string(names), "bfq"), nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// havePrograms tells whether they are installed, as they must be in CI.
func havePrograms(names ...string) (bool, error) {
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("STACK_TEST_STRICT") != "" {
				return false, fmt.Errorf("%s is needed; .ci/deps installs it", name)
			}
			return false, nil
		}
	}
	return true, nil
}

func present(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// keepsCodes goes by the version: PIDFD_INFO_EXIT came with Linux 6.15.
func keepsCodes() (bool, error) {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return false, err
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(b), "%d.%d", &major, &minor); err != nil {
		return false, fmt.Errorf("cannot read the kernel's version %q: %w", b, err)
	}
	return major > 6 || major == 6 && minor >= 15, nil
}

// haveQuotas asks the file system; STACK_TEST_QUOTA says that it must have them.
func haveQuotas() (bool, error) {
	err := quota.Check(os.TempDir())
	if err != nil && (os.Getenv("STACK_TEST_QUOTA") != "" || !errors.Is(err, quota.ErrUnsupported)) {
		return false, err
	}
	return err == nil, nil
}
