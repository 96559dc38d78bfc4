package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is a container and a directory of the host that is synced into it.
type pair struct {
	t      *testing.T
	root   *Root
	dir    string // the container's root on the host
	here   string
	source *Root
}

func newPair(t *testing.T) *pair {
	r, dir := box(t)
	here := t.TempDir()
	source, err := HostDirectory(here)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	if err := os.Chown(dir, idBase, idBase); err != nil {
		t.Fatal(err)
	}
	return &pair{t: t, root: r, dir: dir, here: here, source: source}
}

func (p *pair) sync(paths ...string) error {
	return p.root.Sync(context.Background(), "/srv", p.source, paths, SyncOptions{})
}

func (p *pair) must(paths ...string) {
	p.t.Helper()
	if err := p.sync(paths...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) write(name, content string) { write(p.t, filepath.Join(p.here, name), content) }

func (p *pair) stat(name string) *syscall.Stat_t {
	p.t.Helper()
	info, err := os.Lstat(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t)
}

func (p *pair) want(tree_ string) {
	p.t.Helper()
	if got := tree(p.t, filepath.Join(p.dir, "srv")); got != tree_ {
		p.t.Errorf("the container has %q, not %q", got, tree_)
	}
}

func TestSyncKeepsTheInode(t *testing.T) {
	p := newPair(t)
	p.write("app/main", "first version")
	p.must("app", "app/main")
	before := p.stat("srv/app/main")
	if before.Uid != idBase || before.Gid != idBase || before.Mode&0o7777 != 0o644 {
		t.Errorf("the new file is %d:%d %o", before.Uid, before.Gid, before.Mode)
	}
	open, err := os.Open(filepath.Join(p.dir, "srv/app/main"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for _, content := range []string{"2nd", "a longer third version", ""} {
		p.write("app/main.new", content) // as an editor saves: another inode here
		if err := os.Rename(filepath.Join(p.here, "app/main.new"), filepath.Join(p.here, "app/main")); err != nil {
			t.Fatal(err)
		}
		p.must("app/main")
		p.want("app/ app/main=" + content)
		if after := p.stat("srv/app/main"); after.Ino != before.Ino {
			t.Error("the file is another one")
		}
	}
	if err := os.Chmod(filepath.Join(p.here, "app/main"), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	p.must("app/main")
	if mode := p.stat("srv/app/main").Mode & 0o7777; mode != 0o755 {
		t.Errorf("its mode is %o", mode)
	}
}

// TestSyncOwners: what is there keeps its owner, what is new is its directory's.
func TestSyncOwners(t *testing.T) {
	p := newPair(t)
	write(t, filepath.Join(p.dir, "srv/old"), "old")
	write(t, filepath.Join(p.dir, "srv/nobody/f"), "x")
	for name, id := range map[string]int{"srv": idBase + 1000, "srv/old": idBase + 33, "srv/nobody": idBase + 65534} {
		if err := os.Chown(filepath.Join(p.dir, name), id, id); err != nil {
			t.Fatal(err)
		}
	}
	p.write("old", "x")
	p.write("new/file", "x")
	link(t, "file", filepath.Join(p.here, "new/link"))
	p.write("nobody/new", "x")
	p.must("old", "new", "new/file", "new/link", "nobody/new")
	for name, id := range map[string]uint32{"nobody/new": 65534, "old": 33, "new": 1000, "new/file": 1000, "new/link": 1000} {
		if st := p.stat("srv/" + name); st.Uid != idBase+id || st.Gid != idBase+id {
			t.Errorf("%s belongs to %d:%d", name, st.Uid-idBase, st.Gid-idBase)
		}
	}
}

func TestSyncRemovesAndChangesKinds(t *testing.T) {
	p := newPair(t)
	p.write("a/b/c", "c")
	p.write("x", "x")
	link(t, "x", filepath.Join(p.here, "l"))
	p.must("a", "a/b", "a/b/c", "x", "l")
	p.want("a/ a/b/ a/b/c=c l->x x=x")
	write(t, filepath.Join(p.dir, "srv/a/made-inside"), "y")
	remove := func(names ...string) {
		for _, n := range names {
			if err := os.RemoveAll(filepath.Join(p.here, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove("a", "x", "l")
	p.write("x/now", "dir")
	p.write("l", "file")
	p.must("a", "a/b", "a/b/c", "x", "x/now", "l", "never")
	p.want("l=file x/ x/now=dir")
	remove("x", "l")
	p.write("x", "file again")
	link(t, "y", filepath.Join(p.here, "l"))
	p.must("x/now", "x", "l")
	p.want("l->y x=file again")
}

func TestSyncRename(t *testing.T) {
	p := newPair(t)
	p.write("a/f", "f")
	p.must("a", "a/f")
	if err := os.Rename(filepath.Join(p.here, "a"), filepath.Join(p.here, "b")); err != nil {
		t.Fatal(err)
	}
	p.must("a", "a/f", "b", "b/f")
	p.want("b/ b/f=f")
}

func TestSyncCompareLeavesWhatIsEqual(t *testing.T) {
	p := newPair(t)
	p.write("f", "same")
	p.must("f")
	file := filepath.Join(p.dir, "srv/f")
	if err := os.Chtimes(file, tenSeconds(), tenSeconds()); err != nil {
		t.Fatal(err)
	}
	compare := func() int64 {
		if err := p.root.Sync(context.Background(), "/srv", p.source, []string{"f"}, SyncOptions{Compare: true}); err != nil {
			t.Fatal(err)
		}
		return p.stat("srv/f").Mtim.Sec
	}
	if at := compare(); at != 10 {
		t.Error("an equal file was written")
	}
	p.write("f", "othr")
	if compare() == 10 {
		t.Error("a file of the same size was not written")
	}
	p.want("f=othr")
}

// TestSyncOntoARunningProgram: what is executed cannot be written; it is replaced.
func TestSyncOntoARunningProgram(t *testing.T) {
	p := newPair(t)
	p.write("tool", "old")
	p.must("tool")
	name := filepath.Join(p.dir, "srv/tool")
	b, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o755); err != nil {
		t.Fatal(err)
	}
	proc, err := os.StartProcess(name, []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Wait()
	defer proc.Kill()
	p.write("tool", "new")
	p.must("tool")
	p.want("tool=new")
}

// TestSyncStaysInside: whatever the container made of the target, nothing outside
// its root is touched; box checks that.
func TestSyncStaysInside(t *testing.T) {
	p := newPair(t)
	for _, d := range []string{"srv", "tmp"} {
		if err := os.MkdirAll(filepath.Join(p.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(filepath.Dir(p.dir), "outside")
	link(t, outside, filepath.Join(p.dir, "srv/dir"))
	link(t, filepath.Join(outside, "secret"), filepath.Join(p.dir, "srv/file"))
	link(t, "../../outside", filepath.Join(p.dir, "srv/up"))
	if err := unix.Mkfifo(filepath.Join(p.dir, "srv/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.write("dir/secret", "stolen")
	p.write("file", "own")
	p.write("up/new", "x")
	p.write("fifo", "file")
	if err := p.sync("dir/secret", "up/new"); err == nil {
		t.Error("a link was followed")
	}
	p.must("file", "fifo")
	if err := os.RemoveAll(filepath.Join(p.here, "up")); err != nil {
		t.Fatal(err)
	}
	p.must("up/new")            // behind the link there is nothing of ours
	p.must("dir", "dir/secret") // the directory takes the link's place
	p.want("dir/ dir/secret=stolen fifo=file file=own up->../../outside")
	for _, name := range []string{"../x", "/x", "a/../../x"} {
		if err := p.sync(name); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	link(t, outside, filepath.Join(p.dir, "srv/top"))
	if err := p.root.Sync(context.Background(), "/srv/top", p.source, []string{"file"}, SyncOptions{}); err == nil {
		t.Error("a target that leads nowhere was made")
	}
}

// TestSyncOfOneFile may give it another name.
func TestSyncOfOneFile(t *testing.T) {
	p := newPair(t)
	p.write("conf.dev", "x")
	as := SyncOptions{As: "conf"}
	for range 2 {
		if err := p.root.Sync(context.Background(), "/srv", p.source, []string{"conf.dev"}, as); err != nil {
			t.Fatal(err)
		}
		p.want("conf=x")
	}
	if err := os.Remove(filepath.Join(p.here, "conf.dev")); err != nil {
		t.Fatal(err)
	}
	if err := p.root.Sync(context.Background(), "/srv", p.source, []string{"conf.dev"}, as); err != nil {
		t.Fatal(err)
	}
	p.want("")
}

// TestSyncReadsNoLink: what the host's directory links to is not read.
func TestSyncReadsNoLink(t *testing.T) {
	p := newPair(t)
	link(t, "/etc/passwd", filepath.Join(p.here, "l"))
	link(t, "/etc", filepath.Join(p.here, "d"))
	p.must("l", "d", "d/passwd")
	p.want("d->/etc l->/etc/passwd")
}

// TestSyncOntoItself: a source that is mounted at its target is not written, or each
// sync would be a change to sync.
func TestSyncOntoItself(t *testing.T) {
	p := newPair(t)
	p.write("f", "x")
	at := filepath.Join(p.dir, "srv")
	if err := errors.Join(os.Mkdir(at, 0o755), unix.Mount(p.here, at, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(at, unix.MNT_DETACH)
	before := p.stat("srv/f")
	p.must("f")
	if after := p.stat("srv/f"); after.Ctim != before.Ctim {
		t.Error("the file was written")
	}
}

// TestSyncLeavesMounts: neither what is mounted in the container nor its mounts go.
func TestSyncLeavesMounts(t *testing.T) {
	p := newPair(t)
	volume := t.TempDir()
	write(t, filepath.Join(volume, "data"), "data")
	p.write("d/vol/f", "f")
	p.must("d", "d/vol")
	at := filepath.Join(p.dir, "srv/d/vol")
	if err := unix.Mount(volume, at, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(at, unix.MNT_DETACH)
	if err := os.RemoveAll(filepath.Join(p.here, "d")); err != nil {
		t.Fatal(err)
	}
	if err := p.sync("d"); err == nil || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("got %v", err)
	}
	if got := tree(t, volume); got != "data=data" {
		t.Errorf("the volume has %q", got)
	}
	p.write("d/vol", "a file now")
	if err := p.sync("d/vol"); err == nil {
		t.Error("a mount was replaced")
	}
}

func tenSeconds() time.Time { return time.Unix(10, 0) }

// BenchmarkSync brings a thousand files that are there already, and that are not.
func BenchmarkSync(b *testing.B) {
	for _, fresh := range []bool{false, true} {
		name := map[bool]string{false: "rewritten", true: "new"}[fresh]
		b.Run(name, func(b *testing.B) { benchmarkSync(b, fresh) })
	}
}

func benchmarkSync(b *testing.B, fresh bool) {
	dir, here := b.TempDir(), b.TempDir()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	root := NewRoot(newFile(fd, dir), nil, nil)
	defer root.Close()
	var names []string
	for n := range 1000 {
		name := fmt.Sprintf("d%d/f%d", n/50, n)
		names = append(names, name)
		if err := errors.Join(os.MkdirAll(filepath.Join(here, filepath.Dir(name)), 0o755),
			os.WriteFile(filepath.Join(here, name), make([]byte, 2000), 0o644)); err != nil {
			b.Fatal(err)
		}
	}
	source, err := HostDirectory(here)
	if err != nil {
		b.Fatal(err)
	}
	defer source.Close()
	for b.Loop() {
		if fresh {
			b.StopTimer()
			if err := os.RemoveAll(filepath.Join(dir, "srv")); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		if err := root.Sync(b.Context(), "/srv", source, names, SyncOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
