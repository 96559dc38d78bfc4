package watch

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// calls are the system calls of an editor, in a directory.
type calls struct {
	t   *testing.T
	dir string
}

func (c calls) path(name string) string { return filepath.Join(c.dir, name) }

// open is open(2) by name.
func (c calls) open(name string, flags int, mode uint32) int {
	c.t.Helper()
	fd, err := syscall.Open(c.path(name), flags|syscall.O_CLOEXEC, mode)
	must(c.t, err)
	return fd
}

// put writes and closes.
func (c calls) put(fd int, text string) {
	c.t.Helper()
	_, err := syscall.Write(fd, []byte(text))
	must(c.t, err, syscall.Close(fd))
}

// sync writes, waits for the disk, and closes.
func (c calls) sync(fd int, text string) {
	c.t.Helper()
	_, err := syscall.Write(fd, []byte(text))
	must(c.t, err, syscall.Fsync(fd), syscall.Close(fd))
}

func (c calls) rename(from, to string) {
	c.t.Helper()
	must(c.t, syscall.Rename(c.path(from), c.path(to)))
}

func (c calls) unlink(names ...string) {
	c.t.Helper()
	for _, name := range names {
		must(c.t, syscall.Unlink(c.path(name)))
	}
}

const (
	overwrite = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_TRUNC
	create    = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL
)

// saves are what editors and tools do when they save a file, as strace shows it.
func saves() map[string]func(c calls, name string) {
	return map[string]func(c calls, name string){
		// :w with backupcopy=no: may a file be made here, the old one aside, a new one.
		"vim": func(c calls, name string) {
			swap := c.open("."+name+".swp", syscall.O_RDWR|syscall.O_CREAT|syscall.O_EXCL, 0o600)
			must(c.t, syscall.Close(c.open("4913", create|syscall.O_NOFOLLOW, 0o100644)))
			must(c.t, syscall.Chmod(c.path("4913"), 0o644))
			c.unlink("4913")
			c.rename(name, name+"~")
			c.sync(c.open(name, syscall.O_WRONLY|syscall.O_CREAT, 0o644), "new")
			must(c.t, syscall.Chmod(c.path(name), 0o100644))
			c.unlink(name + "~")
			c.put(swap, "swap")
			c.unlink("." + name + ".swp")
		},
		// backupcopy=yes: a copy aside, the file written over.
		"vim, in place": func(c calls, name string) {
			c.put(c.open(name+"~", create, 0o644), "old")
			fd := c.open(name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC, 0o644)
			c.sync(fd, "new")
			c.unlink(name + "~")
		},
		// A lock, an auto-save file, the first save's backup, then the file itself.
		"emacs": func(c calls, name string) {
			must(c.t, os.Symlink("me@host.1:1", c.path(".#"+name)))
			c.put(c.open("#"+name+"#", overwrite, 0o600), "new")
			c.rename(name, name+"~")
			c.sync(c.open(name, overwrite, 0o644), "new")
			must(c.t, syscall.Chmod(c.path(name), 0o644))
			c.unlink("#"+name+"#", ".#"+name)
		},
		// Later saves write over the file.
		"emacs, again": func(c calls, name string) {
			must(c.t, os.Symlink("me@host.1:1", c.path(".#"+name)))
			c.sync(c.open(name, overwrite, 0o644), "new")
			c.unlink(".#" + name)
		},
		"VS Code": func(c calls, name string) { c.put(c.open(name, overwrite, 0o666), "new") },
		// files.saveConflictResolution and large files: truncated first, written later.
		"VS Code, truncating": func(c calls, name string) {
			fd := c.open(name, syscall.O_RDWR, 0)
			must(c.t, syscall.Ftruncate(fd, 0))
			time.Sleep(2 * quiet)
			c.sync(fd, "new")
		},
		// "Safe write": beside it, then two renames.
		"JetBrains": func(c calls, name string) {
			c.sync(c.open(name+"___jb_tmp___", create, 0o644), "new")
			c.rename(name, name+"___jb_old___")
			c.rename(name+"___jb_tmp___", name)
			c.unlink(name + "___jb_old___")
		},
		"JetBrains, in place": func(c calls, name string) { c.put(c.open(name, syscall.O_WRONLY|syscall.O_TRUNC, 0), "new") },
		"gedit, atomic": func(c calls, name string) {
			fd := c.open(".goutputstream-RX7ZA2", syscall.O_RDWR|syscall.O_CREAT|syscall.O_EXCL, 0o600)
			must(c.t, syscall.Fchmod(fd, 0o644))
			c.sync(fd, "new")
			c.rename(".goutputstream-RX7ZA2", name)
		},
		"nano": func(c calls, name string) { c.sync(c.open(name, overwrite, 0o666), "new") },
		// Qt: a file without a name, which gets a temporary one.
		"Kate": func(c calls, name string) {
			fd := c.open(".", unix.O_TMPFILE|syscall.O_RDWR, 0o600)
			_, err := syscall.Write(fd, []byte("new"))
			must(c.t, err, syscall.Fchmod(fd, 0o644), syscall.Fdatasync(fd))
			from := "/proc/self/fd/" + strconv.Itoa(fd)
			must(c.t, unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, c.path(name+".AbCdEf"), unix.AT_SYMLINK_FOLLOW))
			must(c.t, syscall.Close(fd))
			c.rename(name+".AbCdEf", name)
		},
		"exchanged": func(c calls, name string) {
			c.put(c.open(name+".tmp", create, 0o644), "new")
			must(c.t, unix.Renameat2(unix.AT_FDCWD, c.path(name+".tmp"), unix.AT_FDCWD, c.path(name), unix.RENAME_EXCHANGE))
			c.unlink(name + ".tmp")
		},
		"sed -i": func(c calls, name string) {
			c.put(c.open("sedXq3f1t", create, 0o600), "new")
			must(c.t, syscall.Chmod(c.path("sedXq3f1t"), 0o644))
			c.rename("sedXq3f1t", name)
		},
		"perl -i, git": func(c calls, name string) {
			c.unlink(name)
			c.put(c.open(name, create, 0o644), "new")
		},
		"rsync": func(c calls, name string) {
			fd := c.open("."+name+".Ab12Cd", create, 0o600)
			c.put(fd, "new")
			at := syscall.Timeval{Sec: 1}
			must(c.t, syscall.Utimes(c.path("."+name+".Ab12Cd"), []syscall.Timeval{at, at}), syscall.Chmod(c.path("."+name+".Ab12Cd"), 0o644))
			c.rename("."+name+".Ab12Cd", name)
		},
		"same size, same time": func(c calls, name string) {
			info, err := os.Stat(c.path(name))
			must(c.t, err)
			c.put(c.open(name, syscall.O_WRONLY, 0), "NEW")
			must(c.t, os.Chtimes(c.path(name), info.ModTime(), info.ModTime()))
		},
		"touch": func(c calls, name string) { must(c.t, os.Chtimes(c.path(name), time.Unix(1, 0), time.Unix(1, 0))) },
		"chmod": func(c calls, name string) { must(c.t, syscall.Chmod(c.path(name), 0o755)) },
	}
}

// TestSaves: each is told as one changed file, and nothing else, whether the watcher
// looks while it goes on or after it.
func TestSaves(t *testing.T) {
	for editor, save := range saves() {
		t.Run(editor, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("old"), 0o644))
			w := start(t, dir, Options{})
			late := still(t, dir, Options{})
			save(calls{t, dir}, "main.go")
			late.run()
			var told []Change
			for len(told) == 0 { // what passed may be told before
				told = slices.DeleteFunc(late.next().Changes, func(c Change) bool { return c.Passed })
			}
			if !slices.Equal(told, []Change{{Path: "main.go"}}) {
				t.Errorf("told afterwards: %v", told)
			}
			w.until("+main.go")
			w.write("end", "")
			w.until("+end") // and nothing else came before
		})
	}
}

// TestSavedThroughALink: a file is told under all of its names, a link to it is not.
func TestSavedThroughALink(t *testing.T) {
	dir := t.TempDir()
	w := start(t, dir, Options{})
	w.write("a", "old")
	must(t, os.Link(w.path("a"), w.path("b")), os.Symlink("a", w.path("c")))
	w.until("+a", "+b", "+c")
	w.write("b", "new")
	w.until("+a", "+b")
	w.write("c", "newer") // through the link
	w.until("+a", "+b")
}

// TestMappedWrites: inotify does not tell what is written through a mapping, nor does
// fsnotify ask for the close after it. It is found where everything is looked at, and
// told with the next thing that happens to the file.
func TestMappedWrites(t *testing.T) {
	for _, poll := range []bool{true, false} {
		dir := t.TempDir()
		name := filepath.Join(dir, "f")
		must(t, os.WriteFile(name, []byte("old"), 0o644), os.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0)))
		w := start(t, dir, Options{Poll: poll})
		fd := calls{t, dir}.open("f", syscall.O_RDWR, 0)
		b, err := unix.Mmap(fd, 0, 3, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, err)
		copy(b, "new")
		must(t, unix.Msync(b, unix.MS_SYNC), unix.Munmap(b), syscall.Close(fd))
		if !poll {
			must(t, os.Chmod(name, 0o644))
		}
		w.until("+f")
	}
}
