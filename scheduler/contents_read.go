package scheduler

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// contents reads secrets or configs. Those of an environment or with inline
// content were filled in when the stack was loaded. files are those that the load
// read; see readObject.
func contents[T interface {
	types.SecretConfig | types.ConfigObjConfig
}](p *types.Project, files []spec.File, declared map[string]T) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, key := range slices.Sorted(maps.Keys(declared)) {
		o := types.FileObjectConfig(declared[key])
		switch {
		case bool(o.External):
			continue
		case o.Content != "" || o.Environment != "":
			out[key] = []byte(o.Content)
		case o.File != "":
			b, err := readObject(p.WorkingDir, o.File, files)
			if errors.Is(err, fs.ErrNotExist) {
				continue // an error only for who uses it
			}
			if err != nil {
				return nil, err
			}
			out[key] = b
		}
	}
	return out, nil
}

// readObject reads a file of a secret or config. Who can write the stack's folder can
// put a link there: it may lead to what lies in the folder, or to where it led when
// the stack was brought up. nil files, of an older record, allow all.
func readObject(home, path string, files []spec.File) ([]byte, error) {
	path = spec.Absolute(home, path)
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would hold us up
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a regular file", path), err)
	}
	if files != nil {
		if err := approved(home, f, files); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(f)
}

// approved looks at where an open file lies, not at its path: that may lead elsewhere
// by now.
func approved(home string, f *os.File, files []spec.File) error {
	real, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return err
	}
	real = strings.TrimSuffix(real, " (deleted)") // replaced by a newer one meanwhile
	if dir, err := filepath.EvalSymlinks(home); err == nil && spec.Within(dir, real) {
		return nil
	}
	if slices.ContainsFunc(files, func(f spec.File) bool { return f.Real == real }) {
		return nil
	}
	return fmt.Errorf("%s leads to %s, outside the stack's folder, which it did not when the stack was brought up: run `stack up` if that is right", f.Name(), real)
}

// used are those of declared objects that are named.
func used[T any](declared map[string]T, names []string) map[string]T {
	out := map[string]T{}
	for _, name := range names {
		keep(out, declared, name)
	}
	return out
}

// sources are the objects that a service refers to.
func sources[T interface {
	types.ServiceSecretConfig | types.ServiceConfigObjConfig
}](refs []T) []string {
	var out []string
	for _, r := range refs {
		out = append(out, types.FileReferenceConfig(r).Source)
	}
	return out
}
