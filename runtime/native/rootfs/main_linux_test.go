package rootfs

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary is also the first process of the containers under test: with
// this variable set it makes the special mounts, tells their descriptors, and
// answers requests about what it sees.
const childEnv = "ROOTFS_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		serve()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type request struct {
	Op, Path, Data string
}

type reply struct {
	Err     string
	Errno   int
	Text    string
	Mode    uint32
	UID     uint32
	GID     uint32
	Rdev    uint64
	Dev     uint64
	Ino     uint64
	FS      int64
	Flags   int64
	Special map[string]int
}

func serve() {
	in, out := json.NewDecoder(bufio.NewReader(os.NewFile(3, "requests"))), json.NewEncoder(os.NewFile(4, "replies"))
	_ = out.Encode(specialMounts())
	for {
		var q request
		if in.Decode(&q) != nil {
			return
		}
		r, err := answer(q)
		if err != nil {
			r.Err = err.Error()
			var no unix.Errno
			if errors.As(err, &no) {
				r.Errno = int(no)
			}
		}
		if out.Encode(r) != nil {
			return
		}
	}
}

func specialMounts() reply {
	r := reply{Special: map[string]int{}}
	for kind, attrs := range map[string]uint64{"proc": 0, "sysfs": unix.MOUNT_ATTR_RDONLY, "mqueue": 0} {
		fs := newFilesystem(kind)
		fd, err := fs.mount(attrs | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
		if err != nil {
			return reply{Err: err.Error()}
		}
		r.Special[kind] = fd
	}
	return r
}

func answer(q request) (reply, error) {
	switch q.Op {
	case "stat", "lstat":
		return answerStat(q)
	case "read":
		data, err := os.ReadFile(q.Path)
		return reply{Text: string(data)}, err
	case "readlink":
		text, err := os.Readlink(q.Path)
		return reply{Text: text}, err
	case "list":
		entries, err := os.ReadDir(q.Path)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return reply{Text: strings.Join(names, " ")}, err
	case "write":
		return reply{}, os.WriteFile(q.Path, []byte(q.Data), 0o644)
	case "mkdir":
		return reply{}, os.Mkdir(q.Path, 0o755)
	case "chdir":
		return reply{}, unix.Chdir(q.Path)
	case "open":
		f, err := os.Open(q.Path)
		if err == nil {
			f.Close()
		}
		return reply{}, err
	case "mknod":
		return reply{}, unix.Mknod(q.Path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))
	case "tty":
		return answerTTY(q)
	}
	return reply{}, fmt.Errorf("unknown request %q", q.Op)
}

func answerStat(q request) (reply, error) {
	var st unix.Stat_t
	stat := unix.Stat
	if q.Op == "lstat" {
		stat = unix.Lstat
	}
	if err := stat(q.Path, &st); err != nil {
		return reply{}, err
	}
	r := reply{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Rdev: st.Rdev, Dev: st.Dev, Ino: st.Ino}
	var fs unix.Statfs_t
	if q.Op == "stat" && unix.Statfs(q.Path, &fs) == nil {
		r.FS, r.Flags = int64(fs.Type), int64(fs.Flags)
	}
	return r, nil
}

func answerTTY(q request) (reply, error) {
	f, err := os.OpenFile(q.Path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return reply{}, err
	}
	defer f.Close()
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return reply{}, err
	}
	_, err = f.WriteString(q.Data)
	return reply{Text: fmt.Sprintf("%dx%d", ws.Col, ws.Row)}, err
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	const reason = "making mount namespaces needs root"
	if os.Getenv("STACK_TEST_STRICT") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
