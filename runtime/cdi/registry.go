package cdi

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// Registry is what the specifications of a machine describe.
type Registry struct {
	dirs  []string
	kinds map[string]map[string]entry // VENDOR/CLASS → device
	bad   []error                     // files that cannot be used
}

type entry struct {
	own, all Edits
	file     string
	order    int  // of its directory
	twice    bool // described by two files of one directory
}

// DefaultDirs are where specifications lie; the later ones win.
func DefaultDirs() []string { return []string{"/etc/cdi", "/var/run/cdi"} }

// Load reads the specifications in dirs. A file that cannot be read counts only for
// who then misses a device.
func Load(dirs []string) *Registry {
	r := &Registry{dirs: dirs, kinds: map[string]map[string]entry{}}
	for order, dir := range dirs {
		names, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.bad = append(r.bad, err)
		}
		for _, n := range names {
			if ext := filepath.Ext(n.Name()); ext != ".json" && ext != ".yaml" {
				continue
			}
			name := filepath.Join(dir, n.Name())
			if err := r.read(name, order); err != nil {
				r.bad = append(r.bad, fmt.Errorf("cannot use %s: %w", name, err))
			}
		}
	}
	return r
}

// maxSize is far above any specification.
const maxSize = 16 << 20

func (r *Registry) read(name string, order int) error {
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() || st.Size() > maxSize {
		return errors.New("it is no regular file of reasonable size")
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var f file
	if err := yaml.Unmarshal(b, &f); err != nil { // JSON is YAML
		return err
	}
	if !strings.HasPrefix(f.Version, "0.") && !strings.HasPrefix(f.Version, "1.") {
		return fmt.Errorf("version %q is not known", f.Version)
	}
	if !kindForm().MatchString(f.Kind) {
		return fmt.Errorf("%q is no kind", f.Kind)
	}
	for _, d := range f.Devices {
		r.add(f.Kind, d.Name, entry{own: d.Edits, all: f.Edits, file: name, order: order})
	}
	return nil
}

func (r *Registry) add(kind, name string, e entry) {
	if r.kinds[kind] == nil {
		r.kinds[kind] = map[string]entry{}
	}
	old, there := r.kinds[kind][name]
	if there && old.order == e.order {
		e.twice = true
	}
	r.kinds[kind][name] = e
}

const kindText = `[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_-]*`

var (
	kindForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("^" + kindText + "$") })
	nameForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile("^(" + kindText + ")=([A-Za-z0-9][A-Za-z0-9_.:-]*)$")
	})
)

// IsName reports whether s has the form of a device's full name, VENDOR/CLASS=NAME.
func IsName(s string) bool { return nameForm().MatchString(s) }

// IsKind reports whether s has the form VENDOR/CLASS.
func IsKind(s string) bool { return kindForm().MatchString(s) }

// Kinds are those of which there are devices, sorted.
func (r *Registry) Kinds() []string { return slices.Sorted(maps.Keys(r.kinds)) }

// Names are the devices of a kind: numbers in their order, then the others.
func (r *Registry) Names(kind string) []string {
	return slices.SortedFunc(maps.Keys(r.kinds[kind]), func(a, b string) int {
		x, errA := strconv.Atoi(a)
		y, errB := strconv.Atoi(b)
		switch {
		case errA == nil && errB == nil:
			return x - y
		case errA == nil:
			return -1
		case errB == nil:
			return 1
		}
		return strings.Compare(a, b)
	})
}

// Devices gives the edits for devices by full name. Those that a file has for all of
// its devices come once, and first.
func (r *Registry) Devices(names ...string) (Edits, error) {
	var out Edits
	var own []Edits
	files := map[string]bool{}
	for _, full := range names {
		m := nameForm().FindStringSubmatch(full)
		if m == nil {
			return Edits{}, fmt.Errorf("%q is no device: want VENDOR/CLASS=NAME", full)
		}
		e, ok := r.kinds[m[1]][m[2]]
		switch {
		case !ok:
			return Edits{}, r.missing(m[1], m[2])
		case e.twice:
			return Edits{}, fmt.Errorf("device %s is described twice in %s", full, filepath.Dir(e.file))
		}
		if !files[e.file] {
			out = out.and(e.all)
		}
		files[e.file] = true
		own = append(own, e.own)
	}
	for _, e := range own {
		out = out.and(e)
	}
	return out, nil
}

// missing says what there is instead.
func (r *Registry) missing(kind, name string) error {
	err := fmt.Errorf("no CDI specification of %s in %s", kind, strings.Join(r.dirs, " or "))
	if known := r.Names(kind); len(known) > 0 {
		err = fmt.Errorf("no such device: %s=%s (there are %s)", kind, name, strings.Join(known, ", "))
	}
	if len(r.bad) > 0 {
		err = fmt.Errorf("%w; %w", err, errors.Join(r.bad...))
	}
	return err
}
