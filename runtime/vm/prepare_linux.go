package vm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"

	"stack/runtime"
	"stack/runtime/vm/kernel"
)

// prepared is a plan with everything it needs on disk.
type prepared struct {
	*plan
	outside outsideInput
}

func (p *prepared) bundle() (runtime.Bundle, error) { return p.outsideBundle(p.outside) }

// prepare finds or makes what the machine is built from.
func (r *Runtime) prepare(ctx context.Context, b runtime.Bundle) (*prepared, error) {
	m := machine{arch: goruntime.GOARCH}
	if b.Spec.Linux != nil {
		if err := m.size(b.Spec.Linux.Resources); err != nil {
			return nil, err
		}
	}
	var err error
	if m.qemu, err = findHypervisor(m.arch); err != nil {
		return nil, err
	}
	if m.kernel, err = kernel.Find(r.o.Home, b.Spec.Annotations[KernelAnnotation]); err != nil {
		return nil, err
	}
	if m.initrd, err = kernel.Initrd(r.o.Home, m.kernel, r.o.Shim); err != nil {
		return nil, err
	}
	var warning string
	if m.kvm, warning, err = r.acceleration(ctx, m); err != nil {
		return nil, err
	}
	p, err := newPlan(b, m)
	if err != nil {
		return nil, err
	}
	if warning != "" {
		p.warnings = append(p.warnings, warning)
	}
	if p.disk != "" {
		if err := makeDisk(ctx, p.disk, ownerOf(b), cmp.Or(b.Root.Size, diskSize)); err != nil {
			return nil, err
		}
	}
	base, system, err := r.base()
	if err != nil {
		return nil, err
	}
	return &prepared{p, outsideInput{base: base, system: system, shim: r.o.Shim, boot: r.o.Boot, seccomp: r.o.Seccomp}}, nil
}

func findHypervisor(arch string) (string, error) {
	name, ok := hypervisors()[arch]
	if !ok {
		return "", fmt.Errorf("virtual machines are not supported on %s", arch)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is missing: install Debian's package qemu-system-%s", name, map[string]string{"amd64": "x86", "arm64": "arm"}[arch])
	}
	return path, nil
}

// base makes the tree that a hypervisor's container stands on: links as the host has
// them, and below those the host's directories.
func (r *Runtime) base() (dir string, system []string, err error) {
	dir = filepath.Join(r.o.Home, "base")
	for _, name := range []string{"proc", "dev", "tmp", "usr", "machine", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return "", nil, err
		}
	}
	system = []string{"/usr"}
	for _, name := range []string{"/bin", "/lib", "/lib64"} {
		to, err := os.Readlink(name)
		switch {
		case err == nil:
			if err := os.Symlink(to, filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
				return "", nil, err
			}
		case exists(name):
			system = append(system, name)
		}
	}
	if cache := "/etc/ld.so.cache"; exists(cache) {
		system = append(system, cache)
	}
	return dir, system, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ownerOf is the container's root as the host knows it.
func ownerOf(b runtime.Bundle) int {
	for _, m := range b.Spec.Linux.UIDMappings {
		if m.ContainerID == 0 {
			return int(m.HostID)
		}
	}
	return 0
}

// diskSize is what a disk can hold when nobody says it; it takes the room that was written.
const diskSize = 16 << 30

// makeDisk makes an empty file system for what a machine writes, if there is none: it
// outlives restarts.
func makeDisk(ctx context.Context, path string, owner int, size int64) error {
	if exists(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return err
	}
	tmp := path + ".new"
	defer os.Remove(tmp)
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(f.Truncate(size), f.Chown(owner, owner), f.Close())
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", "-J", "size=16", tmp)
	cmd.Env, cmd.Stderr = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot make the machine's disk (mkfs.ext4 of Debian's package e2fsprogs): %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return os.Rename(tmp, path)
}
