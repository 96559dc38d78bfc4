package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// disk gives each round a file system of its own, as a machine's first `up` has
// it: ext4 without a journal avoids inodes that were freed within the last
// minutes, one by one, so that a round would pay for the files of the last.
type disk struct {
	dir  string
	ext4 bool // else tmpfs
}

// privateMounts restarts this program in a mount namespace of its own, where
// nothing that it mounts can outlive it.
func privateMounts() error {
	const mark = "STACKBENCH_PRIVATE"
	if os.Getenv(mark) != "" {
		return os.Unsetenv(mark)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // until exec
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot unshare mounts: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	return syscall.Exec(exe, os.Args, append(os.Environ(), mark+"=1"))
}

// newDisk makes the directory that all of a run's files are in and finds out what
// can be mounted.
func newDisk(ctx context.Context) (*disk, error) {
	dir, err := os.MkdirTemp("", "stackbench-")
	if err != nil {
		return nil, err
	}
	d := &disk{dir: dir}
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if err := unix.Mount("stackbench", dir, "tmpfs", 0, "mode=0711"); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot mount a tmpfs: %w", err), d.close())
	}
	if _, err := exec.LookPath("mkfs.ext4"); err == nil {
		d.ext4 = true
		try := filepath.Join(d.dir, "try")
		d.ext4 = d.fresh(ctx, try) == nil
		d.discard(try)
	}
	return d, nil
}

func (d *disk) String() string {
	if d.ext4 {
		return "images, layers and uppers on ext4, fresh each round, on a loop device in memory; run files on tmpfs"
	}
	return "all files on tmpfs: no mkfs.ext4 or no loop device here"
}

// fresh makes dir with an empty file system on it.
func (d *disk) fresh(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil || !d.ext4 {
		return err
	}
	image := filepath.Join(d.dir, "image")
	defer os.Remove(image) // the loop device keeps it
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(image, 4<<30); err != nil {
		return err
	}
	if _, err := timed(command(ctx, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)); err != nil {
		return err
	}
	// noinit_itable: or a kernel thread writes inode tables while we measure.
	_, err := timed(command(ctx, "mount", "-n", "-t", "ext4", "-o", "loop,noinit_itable", image, dir))
	return err
}

// discard ends a fresh file system.
func (d *disk) discard(dir string) error {
	if d.ext4 {
		unix.Unmount(dir, unix.MNT_DETACH)
	}
	return os.RemoveAll(dir)
}

func (d *disk) close() error {
	unix.Unmount(d.dir, unix.MNT_DETACH)
	return os.RemoveAll(d.dir)
}
