package cgroup

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/cgroups/v3/cgroup2"
)

const (
	mountsV2 = `25 30 0:23 / /proc rw,relatime - proc proc rw
31 24 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
`
	mountsHybrid = `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`
	// A container of version 1 without a cgroup namespace, and a second mount.
	mountsNested = `33 31 0:30 /docker/0a /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu
35 31 0:32 /docker/0a /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
36 31 0:32 / /mnt/all/of/memory rw - cgroup cgroup rw,memory
`
	mountsStray = mountsV2 + "42 24 0:40 / /sys/fs/cgroup/net_cls rw - cgroup cgroup rw,net_cls\n"
)

func TestDetect(t *testing.T) {
	for _, c := range []struct{ name, mounts, own, want string }{
		{"v2", mountsV2, "0::/user.slice/x\n", "v2 /sys/fs/cgroup=[cpu memory]"},
		{"hybrid", mountsHybrid, "3:memory:/a\n2:cpu,cpuacct:/\n1:name=systemd:/b\n0::/c\n",
			"hybrid /sys/fs/cgroup/systemd=[name=systemd] /sys/fs/cgroup/cpu,cpuacct=[cpu cpuacct] /sys/fs/cgroup/memory=[memory] unified /sys/fs/cgroup/unified"},
		{"nested", mountsNested, "3:memory:/docker/0a\n2:cpu:/docker/0a\n", "v1 /sys/fs/cgroup/cpu=[cpu] /mnt/all/of/memory=[memory]"},
		{"stray v1 mount", mountsStray, "1:net_cls:/\n0::/\n", "v2 /sys/fs/cgroup=[cpu memory]"},
		{"nothing", "25 30 0:23 / /proc rw - proc proc rw\n", "0::/\n", ErrNoCgroups.Error()},
	} {
		h, err := detect(strings.NewReader(c.mounts), strings.NewReader(c.own),
			func(string) ([]string, error) { return []string{"cpu", "memory"}, nil })
		got := fmt.Sprint(err)
		if err == nil {
			got = describe(h)
		} else if !errors.Is(err, ErrNoCgroups) {
			t.Errorf("%s: %v", c.name, err)
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func describe(h *Host) string {
	text := string(h.Mode)
	for _, tree := range h.trees {
		text += fmt.Sprintf(" %s=%v", tree.mount, tree.controllers)
	}
	if h.unified != "" {
		text += " unified " + h.unified
	}
	return text
}

// The weights are those of the other runtimes.
func TestWeights(t *testing.T) {
	for shares := uint64(1); shares < 300_000; shares += 7 {
		if got, want := weightOfShares(shares), cgroup2.ConvertCPUSharesToCgroupV2Value(shares); got != want {
			t.Fatalf("%d shares weigh %d, want %d", shares, got, want)
		}
	}
	for weight, want := range map[uint16]uint64{10: 1, 500: 4950, 1000: 10000} {
		if got := weightOfBlkio(weight); got != want {
			t.Errorf("block weight %d is %d, want %d", weight, got, want)
		}
	}
}
