package kernel

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrMissing says that no kernel is installed.
var ErrMissing = errors.New("no kernel for virtual machines is installed: run `stack vm kernel install`, or give one as x-stack.kernel")

// Kernel is one that machines boot.
type Kernel struct {
	// Image is what QEMU loads.
	Image   string
	Version string
	// Modules is where its modules lie; empty when it has none.
	Modules string
}

func kernels(dir string) string { return filepath.Join(dir, "kernels") }

// Find gives the kernel at path, or without one the kernel that Install fetched into
// dir. Errors: ErrMissing.
func Find(dir, path string) (Kernel, error) {
	if path != "" {
		return given(dir, path)
	}
	home, err := filepath.EvalSymlinks(filepath.Join(kernels(dir), "default"))
	if errors.Is(err, fs.ErrNotExist) {
		return Kernel{}, ErrMissing
	}
	if err != nil {
		return Kernel{}, fmt.Errorf("cannot find the kernel for virtual machines: %w", err)
	}
	k := Kernel{Image: filepath.Join(home, "vmlinux"), Version: filepath.Base(home), Modules: filepath.Join(home, "modules")}
	if !exists(k.Image) {
		k.Image = filepath.Join(home, "vmlinuz")
	}
	return k, nil
}

// given is a kernel of the user's. Its modules are looked for where distributions
// have them, and beside it.
func given(dir, path string) (Kernel, error) {
	version, err := versionOf(path)
	if err != nil {
		return Kernel{}, fmt.Errorf("cannot use the kernel %q: %w", path, err)
	}
	k := Kernel{Image: path, Version: version}
	for _, dir := range []string{
		filepath.Join(filepath.Dir(path), "modules"),
		filepath.Join(filepath.Dir(path), "..", "lib", "modules", version),
		filepath.Join("/lib/modules", version),
	} {
		if real, err := filepath.EvalSymlinks(dir); err == nil && k.Modules == "" {
			k.Modules = real
		}
	}
	k.Image, err = unpacked(dir, path)
	return k, err
}

// unpacked is the ELF image of a kernel that is compressed, kept below dir; any other
// is used as it is.
func unpacked(dir, path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	key := sha256.Sum256(fmt.Append(nil, path, st.Size(), st.ModTime().UnixNano()))
	kept := filepath.Join(dir, "unpacked", hex.EncodeToString(key[:8]))
	if exists(kept) {
		return kept, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	plain, err := unpackImage(b)
	if err != nil {
		return path, nil // the kernel does it, or QEMU says what is wrong
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return "", err
	}
	err = writeWhole(kept, func(w *bufio.Writer) error {
		_, err := w.Write(plain)
		return err
	})
	if err == nil {
		tidy(filepath.Dir(kept), kept)
	}
	return kept, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// versionOf reads a kernel's version ("6.1.0-42-amd64") out of its file: from the
// header of the x86 boot protocol, or from the text that every kernel holds.
func versionOf(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := ""
	if h, err := parseHeader(b); err == nil {
		text = h.version
	} else if _, after, ok := strings.Cut(string(b), "Linux version "); ok {
		text = after[:min(len(after), 100)]
	}
	version, _, _ := strings.Cut(text, " ")
	if version == "" || strings.ContainsAny(version, "/\x00") {
		return "", errors.New("it is not a Linux kernel that can be booted")
	}
	return version, nil
}
