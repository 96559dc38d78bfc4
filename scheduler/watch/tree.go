package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// entry is what is remembered of a file: by a difference of it a change is known.
type entry struct {
	mode  fs.FileMode
	size  int64
	mtime int64
	id    inode
}

// inode tells files apart, whatever they are called.
type inode struct{ dev, ino uint64 }

func entryOf(info fs.FileInfo) entry {
	e := entry{mode: info.Mode(), size: info.Size(), mtime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		e.id = inode{uint64(st.Dev), st.Ino}
	}
	if e.mode.IsDir() {
		e.size, e.mtime = 0, 0 // they change with what lies inside
	}
	return e
}

// tree is what was last seen below a root.
type tree struct {
	base   string // the directory that names are relative to
	only   string // the file that the root is, when it is one
	filter *filter
	seen   map[string]entry
	below  map[string]map[string]bool // by directory, the names seen right inside
	// changed is told of every difference, with what was seen before; enter and
	// leave of the directories to be watched.
	changed func(name string, before entry, existed bool)
	enter   func(dir string, id inode)
	leave   func(dir string)
	lock    string // exists while git changes the root's files
	lost    bool   // the root is gone: what was seen stays until it is back
}

func (t *tree) abs(name string) string { return filepath.Join(t.base, name) }

// name is a path's name in the tree; false for one outside.
func (t *tree) name(path string) (string, bool) {
	if path == t.base {
		return ".", true
	}
	rel, ok := strings.CutPrefix(path, strings.TrimSuffix(t.base, "/")+"/")
	if !ok || t.only != "" && rel != t.only {
		return "", false
	}
	return rel, true
}

// look compares one name with what was seen. Touched says that its content was
// written, which its times need not show.
func (t *tree) look(name string, touched bool) {
	if t.only != "" && name != t.only && name != "." {
		return
	}
	info, err := os.Lstat(t.abs(name))
	switch {
	case err == nil && t.filter.prunes(name, info.IsDir()):
		t.drop(name) // it may have been of another kind
	case err != nil && name == ".":
		t.lose()
	case err != nil:
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			t.gone(name)
		}
	case info.IsDir():
		t.directory(name, entryOf(info))
	default:
		t.file(name, entryOf(info), touched)
		if st, ok := info.Sys().(*syscall.Stat_t); ok && touched && st.Nlink > 1 {
			t.links(name, entryOf(info))
		}
	}
}

// links looks at the other names of a file that was written under one: events tell of
// that one only.
func (t *tree) links(name string, now entry) {
	for other, e := range t.seen {
		if e.id == now.id && other != name {
			t.file(other, now, true)
		}
	}
}

func (t *tree) file(name string, now entry, touched bool) {
	before, existed := t.seen[name]
	if existed && before.mode.IsDir() {
		t.drop(name)
	}
	if existed && before == now && !touched || t.filter.ignores(name, false) {
		return
	}
	t.set(name, now)
	t.changed(name, before, existed)
}

// directory compares a directory with all that is below it.
func (t *tree) directory(name string, now entry) {
	before, existed := t.seen[name]
	if existed && before.mode.IsDir() && before.id != now.id {
		t.leaveBelow(name) // another one took its name
	}
	t.set(name, now)
	if (!existed || before.mode != now.mode) && !t.filter.ignores(name, true) && name != "." {
		t.changed(name, before, existed)
	}
	t.lost = t.lost && name != "."
	t.enter(name, now.id) // before it is read: what comes later is an event
	list, err := os.ReadDir(t.abs(name))
	if err != nil {
		return
	}
	there := make(map[string]bool, len(list))
	for _, d := range list {
		below := filepath.Join(name, d.Name())
		there[below] = true
		t.look(below, false)
	}
	if !existed {
		return
	}
	for below := range t.below[name] {
		if !there[below] {
			t.drop(below)
		}
	}
}

func (t *tree) set(name string, e entry) {
	t.seen[name] = e
	if name == "." {
		return
	}
	dir := filepath.Dir(name)
	if t.below[dir] == nil {
		t.below[dir] = map[string]bool{}
	}
	t.below[dir][name] = true
}

// gone notes that a name is gone, though it may never have been seen.
func (t *tree) gone(name string) {
	if _, existed := t.seen[name]; existed {
		t.drop(name)
	} else if !t.filter.ignores(name, false) {
		t.changed(name, entry{}, false)
	}
}

// again tells a name and all below it as changed.
func (t *tree) again(name string) {
	t.tell(name, t.seen[name])
	for below := range t.below[name] {
		t.again(below)
	}
}

// drop notes that a name and all below it are gone.
func (t *tree) drop(name string) {
	before, existed := t.seen[name]
	if !existed {
		return
	}
	if before.mode.IsDir() {
		t.leave(name)
		for below := range t.below[name] {
			t.drop(below)
		}
	}
	delete(t.below, name)
	delete(t.below[filepath.Dir(name)], name)
	delete(t.seen, name)
	t.tell(name, before)
}

// tell of something that was seen, unless it was only on the way to what is watched.
func (t *tree) tell(name string, before entry) {
	if !t.filter.ignores(name, before.mode.IsDir()) {
		t.changed(name, before, true)
	}
}

// lose notes that the root is gone. What it held is not: a root that is being
// replaced must not empty containers.
func (t *tree) lose() {
	t.leaveBelow(".")
	t.lost = true
}

// leaveBelow ends the watches of a directory and of all below it.
func (t *tree) leaveBelow(name string) {
	if !t.seen[name].mode.IsDir() {
		return
	}
	t.leave(name)
	for below := range t.below[name] {
		t.leaveBelow(below)
	}
}

// same reports whether path is still the directory that it was.
func same(path string, id inode) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir() && entryOf(info).id == id
}
