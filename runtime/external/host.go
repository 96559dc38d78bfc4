package external

import (
	"context"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// Host does what the other runtime cannot; see native.Foreign.
type Host interface {
	// ThrowAway runs f on a thread that is never used again.
	ThrowAway(f func() error) error
	// Stage puts the root file system together on the calling thread, one to be
	// thrown away, and in a mount namespace of its own. keep must stay visible.
	Stage(ctx context.Context, b *runtime.Bundle, keep ...string) (runtime.Staged, error)
	// Launcher is the program to be executed, from descriptor image, instead of p's.
	// It tells descriptor report what failed, in words for Explain; with wait it begins
	// when it has read a byte from there.
	Launcher(p *specs.Process, init, wait bool, image, report int) (program *os.File, steps []byte, err error)
	Explain(steps, said []byte) error
	// OwnPipes lets the user of p open its standard files by name.
	OwnPipes(p *specs.Process, uids []specs.LinuxIDMapping, files ...*os.File) error
	// IDMaps are the mappings of the user namespace at a path of /proc.
	IDMaps(ns string, l *specs.Linux) (uids, gids []specs.LinuxIDMapping, err error)

	// Processes are known by pid and start time; runtime.ErrNotRunning when ended.
	StartTime(pid int) (uint64, error)
	OpenProcess(pid int, start uint64) (*os.File, error)
	// KillProcess returns when the process has given up its namespaces.
	KillProcess(ctx context.Context, pid int, start uint64) error

	// Control groups are known by their path; without one runtime.ErrNotRunning.
	Processes(cgroup string) ([]int, error)
	Stats(cgroup string) (runtime.Stats, error)
	Frozen(cgroup string) bool
	OOMKills(cgroup string) uint64
	OOMEvents(ctx context.Context, cgroup string) (<-chan struct{}, error)
	// Sweep kills what is in a group and removes it.
	Sweep(cgroup string) error
}
