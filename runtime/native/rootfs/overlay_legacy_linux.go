package rootfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// mountLegacy mounts an overlay by paths, on the thread inside the container's
// namespace: kernels before 6.15 take layers only from mounts that are attached
// in the caller's namespace. An upper that is refused is replaced by a tmpfs.
func (b *builder) mountLegacy(t *tree) error {
	l := t.legacy
	for _, fd := range l.lowerFDs {
		if err := b.attachScratch(fd); err != nil {
			return fmt.Errorf("cannot attach a layer: %w", err)
		}
	}
	if l.upperFDs.top != 0 {
		return b.mountMapped(t)
	}
	if l.upper != "" {
		fd, err := b.mountByPath(l, l.upper, l.work)
		if err == nil || !oldKernel(err) {
			t.fd = fd
			return err
		}
		b.warn("changes below %q are kept in memory only and lost when the container goes: %v", l.upper, err)
	}
	upper, work, err := b.attachedTmpfsUpper(l)
	if err != nil {
		return err
	}
	t.fd, err = b.mountByPath(l, procPath(upper), procPath(work))
	if err != nil {
		return errors.Join(err, t.cause)
	}
	return nil
}

// mountMapped mounts one with an id-mapped upper: see mountAs. The calling thread
// is thrown away anyway.
func (b *builder) mountMapped(t *tree) (err error) {
	l := t.legacy
	if err := b.attachScratch(l.upperFDs.top); err != nil {
		return fmt.Errorf("cannot attach the upper layer: %w", err)
	}
	if err := createAs(b.rootUID, b.rootGID); err != nil {
		return err
	}
	if t.fd, err = b.mountByPath(l, procPath(l.upperFDs.upper), procPath(l.upperFDs.work)); err != nil {
		return errors.Join(err, t.cause)
	}
	return nil
}

func (b *builder) attachedTmpfsUpper(l *layers) (upper, work int, err error) {
	fs := newFilesystem("tmpfs")
	fs.set("mode", "0700")
	top, err := b.keep(fs.mount(0))
	if err != nil {
		return -1, -1, err
	}
	if err := b.attachScratch(top); err != nil {
		return -1, -1, fmt.Errorf("cannot attach the upper layer: %w", err)
	}
	return b.upperIn(top, l)
}

// mountByPath uses mount(2): a value of fsconfig(2) ends at 255 bytes. The
// options fit on a page with some 200 layers.
func (b *builder) mountByPath(l *layers, upper, work string) (int, error) {
	dir, err := b.scratchDir()
	if err != nil {
		return -1, err
	}
	var lowers []string
	for _, fd := range l.lowerFDs {
		lowers = append(lowers, procPath(fd))
	}
	data := fmt.Sprintf("index=off,redirect_dir=off,metacopy=off,lowerdir=%s,upperdir=%s,workdir=%s",
		strings.Join(lowers, ":"), escape(upper), escape(work))
	var flags uintptr
	if b.rootFlags() != 0 {
		flags = unix.MS_NODEV
	}
	if err := unix.Mount("overlay", procPath(dir), "overlay", flags, data); err != nil {
		return -1, fmt.Errorf("cannot mount overlay: %w", err)
	}
	// The descriptor still refers to the covered directory: look it up again.
	fd, err := b.keep(openat(b.scratch, fmt.Sprint(b.nodes), unix.O_PATH|unix.O_DIRECTORY, 0))
	if err != nil {
		return -1, fmt.Errorf("cannot open overlay: %w", err)
	}
	return fd, nil
}

func procPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// escape protects what separates mount options.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`, ":", `\:`).Replace(path)
}
