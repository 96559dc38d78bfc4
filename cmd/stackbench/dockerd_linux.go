package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"syscall"
	"time"
)

// dockerd is the daemon that docker compose is measured with: the machine's, if one
// runs, or one of our own.
type dockerd struct {
	host string
	dir  string
	cmd  *exec.Cmd // nil: the machine's
	tag  string
}

// useDocker finds the running daemon or starts one.
func useDocker(ctx context.Context, dir string) (*dockerd, error) {
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	if dockerAnswers(ctx, host) {
		return &dockerd{host: host}, nil
	}
	return startDockerd(ctx, dir)
}

func dockerAnswers(ctx context.Context, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := command(ctx, "docker", "version")
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+host)
	return cmd.Run() == nil
}

// startDockerd runs a daemon with its own state, mounts, network and firewall: in
// namespaces of its own it changes nothing of the host's.
func startDockerd(ctx context.Context, dir string) (*dockerd, error) {
	path, err := exec.LookPath("dockerd")
	if err != nil {
		return nil, fmt.Errorf("no docker daemon answers, and cannot start one: %w", err)
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	sock := filepath.Join(dir, "sock")
	d := &dockerd{host: "unix://" + sock, dir: dir, tag: "stackbenchdc" + strconv.Itoa(os.Getpid())}
	d.cmd = exec.Command(path, "--host", d.host, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--cgroup-parent", "/"+d.tag)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	if err := d.await(ctx, sock); err != nil {
		said, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, said), d.close())
	}
	return d, nil
}

// await returns when the daemon takes requests.
func (d *dockerd) await(ctx context.Context, sock string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if c, err := net.Dial("unix", sock); err == nil {
			c.Close()
			if dockerAnswers(ctx, d.host) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("dockerd does not answer: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// close ends our own daemon and removes what it leaves behind.
func (d *dockerd) close() error {
	if d.cmd == nil {
		return nil
	}
	d.cmd.Process.Signal(syscall.SIGTERM)
	stop := time.AfterFunc(15*time.Second, func() { syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) })
	d.cmd.Wait() // its exit code says nothing
	stop.Stop()
	return errors.Join(removeCgroups(d.tag), os.RemoveAll(d.dir))
}

// removeCgroups removes empty groups called tag with all below them.
func removeCgroups(tag string) error {
	v1, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", tag))
	var dirs []string
	for _, top := range append(v1, filepath.Join(cgroupRoot, tag)) {
		filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
	}
	sort.Sort(sort.Reverse(sort.StringSlice(dirs)))
	var errs []error
	for _, dir := range dirs {
		if err := syscall.Rmdir(dir); err != nil && err != syscall.ENOENT {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
