package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// scriptCondition tells scripts what the machine can do.
//
//	exec:NAME  there is such a program
//	idmap      the host's root file system can be id-mapped
//	machines   virtual machines can be run
//	registry   docker-registry and what goes with it is installed
//	nginx      nginx is installed
//	shop       the root file systems of examples/shop are at hand
//	v1         cgroup v1, also hybrid
//	realtime   with limits of real time
//	bfq        a loop device can have the I/O scheduler that knows weights
func scriptCondition(t *testing.T, cond string) (bool, error) {
	if name, ok := strings.CutPrefix(cond, "exec:"); ok {
		_, err := exec.LookPath(name)
		return err == nil, nil
	}
	switch cond {
	case "idmap":
		return os.Getenv("STACK_TEST_NO_IDMAP") == "", nil
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
