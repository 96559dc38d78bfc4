package kernel

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// needed are the modules for the devices of a machine and for what the guest mounts;
// their own needs are found in them. Kernels may have any of them built in.
func needed() []string {
	return []string{
		"virtio_pci", "virtio_mmio", "virtio_console", "virtio_blk", "virtio_net",
		"9p", "9pnet_virtio", "overlay", "crc32c_generic", "ext4",
	}
}

// module is one file, unpacked.
type module struct {
	name    string
	content []byte
}

// collect gives the modules in an order in which they can be loaded.
func collect(dir string, names []string) ([]module, error) {
	if dir == "" {
		return nil, nil // everything is built in, or the guest will say what is not
	}
	index, err := indexModules(dir)
	if err != nil {
		return nil, err
	}
	c := collector{index: index, seen: map[string]bool{}}
	for _, name := range names {
		if err := c.add(name); err != nil {
			return nil, err
		}
	}
	return c.out, nil
}

type collector struct {
	index map[string]string
	seen  map[string]bool
	out   []module
}

// add appends a module after what it needs. One that is not there is built in.
func (c *collector) add(name string) error {
	name = canonical(name)
	path, ok := c.index[name]
	if c.seen[name] || !ok {
		return nil
	}
	c.seen[name] = true
	b, err := os.ReadFile(path)
	if err == nil && !bytes.HasPrefix(b, []byte("\x7fELF")) {
		b, err = decompress(b)
	}
	var info map[string]string
	if err == nil {
		info, err = moduleInfo(b)
	}
	if err != nil {
		return fmt.Errorf("cannot read module %q: %w", path, err)
	}
	wants := strings.Split(info["depends"], ",")
	if soft, ok := strings.CutPrefix(info["softdep"], "pre: "); ok {
		wants = append(wants, strings.Fields(soft)...)
	}
	for _, want := range wants {
		if err := c.add(want); err != nil {
			return err
		}
	}
	c.out = append(c.out, module{name, b})
	return nil
}

// canonical is a module's name as the kernel has it: files may have dashes.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

func indexModules(dir string) (map[string]string, error) {
	index := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name, rest, ok := strings.Cut(d.Name(), ".ko"); ok && !d.IsDir() && (rest == "" || rest == ".xz" || rest == ".zst" || rest == ".gz") {
			index[canonical(name)] = path
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list modules: %w", err)
	}
	return index, nil
}

// moduleInfo reads the section of a module that modinfo(8) shows.
func moduleInfo(b []byte) (map[string]string, error) {
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("it has no section .modinfo")
	}
	data, err := s.Data()
	if err != nil {
		return nil, err
	}
	info := map[string]string{}
	for _, field := range strings.Split(string(data), "\x00") {
		if key, value, ok := strings.Cut(field, "="); ok {
			info[key] = value
		}
	}
	return info, nil
}
