package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// etcFile is a file of the host's /etc that rootfs:/ shows.
type etcFile struct {
	name string // below /etc
	info fs.FileInfo
	link string // target of a symbolic link
}

// etcStatic are files with the same content on every host. The resolver is ours,
// so names come from files and DNS alone; the empty ones are mount targets, which a
// read-only root could not make.
var etcStatic = map[string]string{
	"nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\nethers: files\nrpc: files\n",
	"hosts":         "",
	"hostname":      "",
	"resolv.conf":   "",
}

// listEtc lists what hostEtc names, sorted, parents first.
func listEtc(etc string) ([]etcFile, error) {
	var all []etcFile
	for _, pattern := range hostEtc {
		matches, err := filepath.Glob(filepath.Join(etc, pattern))
		if err != nil {
			return nil, err
		}
		for _, m := range matches {
			if all, err = appendTree(all, etc, m); err != nil {
				return nil, fmt.Errorf("cannot list %s: %w", m, err)
			}
		}
	}
	slices.SortFunc(all, func(a, b etcFile) int { return comparePaths(a.name, b.name) })
	return slices.CompactFunc(all, func(a, b etcFile) bool { return a.name == b.name }), nil
}

// appendTree adds what every user may read of the tree at top.
func appendTree(all []etcFile, etc, top string) ([]etcFile, error) {
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil // gone meanwhile, or not for us
		}
		if err != nil {
			return err
		}
		f := etcFile{info: info}
		if f.name, err = filepath.Rel(etc, name); err != nil {
			return err
		}
		switch mode := info.Mode(); {
		case isManual(f.name):
			return nil
		case mode.IsDir() && mode&0o005 != 0o005:
			return fs.SkipDir
		case mode&os.ModeSymlink != 0:
			if f.link, err = os.Readlink(name); err != nil {
				return err
			}
		case mode.IsDir(), mode.IsRegular() && mode&0o004 != 0:
		default:
			return nil
		}
		all = append(all, f)
		return nil
	})
	return all, err
}

// isManual knows the links to manual pages, four of five alternatives: no program
// needs them, and there are hundreds.
func isManual(name string) bool {
	return strings.HasPrefix(name, "alternatives/") && strings.HasSuffix(name, ".gz")
}

// comparePaths orders by components: what is below a directory follows it, before
// any name that the directory's begins.
func comparePaths(a, b string) int {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] == b[i]:
		case a[i] == filepath.Separator:
			return -1
		case b[i] == filepath.Separator:
			return 1
		default:
			return int(a[i]) - int(b[i])
		}
	}
	return len(a) - len(b)
}

// copyEtc copies files from the host's etc to the skeleton's, and adds etcStatic.
func copyEtc(to, etc string, files []etcFile) error {
	for _, f := range files {
		if err := copyEtcFile(to, etc, f); err != nil {
			return fmt.Errorf("cannot copy /etc/%s: %w", f.name, err)
		}
	}
	for name, content := range etcStatic {
		if err := writeFile(filepath.Join(to, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func copyEtcFile(to, etc string, f etcFile) error {
	target := filepath.Join(to, f.name)
	if err := makeParents(filepath.Dir(target)); err != nil {
		return err
	}
	switch {
	case f.link != "":
		return os.Symlink(f.link, target)
	case f.info.IsDir():
		return makeDirectory(target, 0o755)
	}
	data, err := os.ReadFile(filepath.Join(etc, f.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // replaced while we read; the next fingerprint differs
	}
	if err != nil {
		return err
	}
	return writeFile(target, data, 0o644|f.info.Mode()&0o111)
}

// makeParents makes a directory and those above it, past the umask.
func makeParents(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	if err := makeParents(filepath.Dir(dir)); err != nil {
		return err
	}
	return makeDirectory(dir, 0o755)
}

// writeFile makes a file with exactly this mode.
func writeFile(name string, data []byte, mode os.FileMode) error {
	if err := os.WriteFile(name, data, mode); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}
