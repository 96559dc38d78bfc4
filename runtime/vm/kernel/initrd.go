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
	"time"
)

// format is part of an initrd's name; to change what Initrd writes is to change it.
const format = "1"

// Initrd gives the path of the file system that a kernel boots with, made if it is not
// there yet. init is the path of the program to be /init.
func Initrd(dir string, k Kernel, init string) (string, error) {
	path, err := initrd(dir, k, init)
	if err != nil {
		return "", fmt.Errorf("cannot make the machines' initial RAM file system: %w", err)
	}
	return path, nil
}

func initrd(dir string, k Kernel, init string) (string, error) {
	key, err := keyOf(k, init)
	if err != nil {
		return "", err
	}
	home := filepath.Join(dir, "initrd")
	path := filepath.Join(home, k.Version+"-"+key)
	if exists(path) {
		now := time.Now()
		os.Chtimes(path, now, now) // it is in use: see tidy
		return path, nil
	}
	modules, err := collect(k.Modules, needed())
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(init)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", err
	}
	if err := writeWhole(path, func(w *bufio.Writer) error { return pack(w, program, modules) }); err != nil {
		return "", err
	}
	tidy(home, path)
	return path, nil
}

// keyOf names what goes into the file, without reading it.
func keyOf(k Kernel, init string) (string, error) {
	h := sha256.New()
	for _, path := range []string{init, k.Image, k.Modules} {
		if path == "" {
			continue
		}
		st, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, path, st.Size(), st.ModTime().UnixNano())
	}
	fmt.Fprintln(h, format, needed())
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// pack writes the archive. /dev/console is there before devtmpfs is.
func pack(w *bufio.Writer, program []byte, modules []module) error {
	a := &archive{w: w}
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp", "mnt", "root", "modules"} {
		a.directory(dir)
	}
	a.character("dev/console", 0o600, 5, 1)
	a.file("init", 0o755, program)
	for i, m := range modules {
		a.file(fmt.Sprintf("modules/%03d-%s.ko", i, m.name), 0o644, m.content)
	}
	return a.close()
}

// writeWhole makes a file that is complete whenever it is there.
func writeWhole(path string, write func(*bufio.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := errors.Join(write(w), w.Flush(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// unusedTime is after how long a file that nobody used goes. Running machines hold
// theirs in memory.
const unusedTime = 30 * 24 * time.Hour

// tidy removes what earlier versions left.
func tidy(home, but string) {
	filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path != but {
			if info, err := d.Info(); err == nil && time.Since(info.ModTime()) > unusedTime {
				os.Remove(path)
			}
		}
		return nil
	})
}
