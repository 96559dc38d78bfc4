package kernel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Install fetches Debian's stock kernel with apt and unpacks what machines need of it
// into dir. package names another package of a kernel; log gets apt's words. It returns
// the version, which is from then on what Find gives.
func Install(ctx context.Context, dir, pkg string, log io.Writer) (string, error) {
	version, err := install(ctx, dir, pkg, log)
	if err != nil {
		return "", fmt.Errorf("cannot install a kernel for virtual machines: %w", err)
	}
	return version, nil
}

func install(ctx context.Context, dir, pkg string, log io.Writer) (string, error) {
	if err := os.MkdirAll(kernels(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(kernels(dir), ".new-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	// apt drops its privileges for downloads, and must be able to write there.
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	a := apt{ctx: ctx, dir: tmp, log: log}
	if pkg == "" {
		if pkg, err = a.stock(); err != nil {
			return "", err
		}
	}
	deb, err := a.download(pkg)
	if err != nil {
		return "", err
	}
	return Unpack(ctx, dir, deb)
}

// Unpack installs the kernel of a Debian package that is at hand.
func Unpack(ctx context.Context, dir, deb string) (string, error) {
	if err := os.MkdirAll(kernels(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(kernels(dir), ".new-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	tree := filepath.Join(tmp, "tree")
	if out, err := exec.CommandContext(ctx, "dpkg", "-x", deb, tree).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot unpack %s: %w: %s", filepath.Base(deb), err, bytes.TrimSpace(out))
	}
	images, _ := filepath.Glob(filepath.Join(tree, "boot", "vmlinuz-*"))
	if len(images) != 1 {
		return "", fmt.Errorf("%s holds no kernel", filepath.Base(deb))
	}
	version := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	modules, _ := filepath.Glob(filepath.Join(tree, "{lib,usr/lib}", "modules", version))
	for _, lib := range []string{"lib", "usr/lib"} {
		if d := filepath.Join(tree, lib, "modules", version); exists(d) {
			modules = []string{d}
		}
	}
	if len(modules) != 1 {
		return "", fmt.Errorf("%s holds no modules", filepath.Base(deb))
	}
	return version, adopt(dir, version, images[0], modules[0])
}

// adopt makes kernels/VERSION of an image and the modules that machines need.
func adopt(dir, version, image, modules string) error {
	b, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	list, err := collect(modules, needed())
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(kernels(dir), ".new-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	write := func(name string, b []byte) error { return os.WriteFile(filepath.Join(tmp, name), b, 0o644) }
	errs := []error{os.Chmod(tmp, 0o755), os.Mkdir(filepath.Join(tmp, "modules"), 0o755), write("vmlinuz", b)}
	if plain, err := unpackImage(b); err == nil { // or QEMU lets the kernel do it
		errs = append(errs, write("vmlinux", plain))
	}
	for _, m := range list {
		errs = append(errs, write(filepath.Join("modules", m.name+".ko"), m.content))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	home := filepath.Join(kernels(dir), version)
	if err := os.RemoveAll(home); err != nil {
		return err
	}
	if err := os.Rename(tmp, home); err != nil {
		return err
	}
	return link(version, filepath.Join(kernels(dir), "default"))
}

func link(to, at string) error {
	next := at + ".new"
	os.Remove(next)
	if err := os.Symlink(to, next); err != nil {
		return err
	}
	return os.Rename(next, at)
}

// apt is Debian's package client, in a directory.
type apt struct {
	ctx context.Context
	dir string
	log io.Writer
}

func (a apt) run(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(a.ctx, name, args...)
	var out bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = a.dir, &out, a.log
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(append([]string{name}, args...), " "), err)
	}
	return out.String(), nil
}

// stock is the package that Debian's linux-image-ARCH stands for. Lists that are not
// there are fetched.
func (a apt) stock() (string, error) {
	meta := "linux-image-" + runtime.GOARCH
	for try := range 2 {
		out, err := a.run("apt-cache", "depends", meta)
		if err != nil && errors.Is(err, exec.ErrNotFound) {
			return "", err
		}
		for s := bufio.NewScanner(strings.NewReader(out)); s.Scan(); {
			if _, pkg, ok := strings.Cut(s.Text(), "Depends: "); ok && strings.HasPrefix(pkg, "linux-image-") {
				return pkg, nil
			}
		}
		if try == 0 {
			if _, err := a.run("apt-get", "update", "-qq"); err != nil {
				return "", err
			}
		}
	}
	return "", fmt.Errorf("apt knows no package %s", meta)
}

func (a apt) download(pkg string) (string, error) {
	if _, err := a.run("apt-get", "download", "-qq", pkg); err != nil {
		return "", err
	}
	list, _ := filepath.Glob(filepath.Join(a.dir, "*.deb"))
	if len(list) != 1 {
		return "", fmt.Errorf("apt-get download %s brought nothing", pkg)
	}
	return list[0], nil
}
