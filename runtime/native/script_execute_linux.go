package native

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

// The exit statuses of a program that cannot be executed, as a shell's.
const (
	exitDenied  = 126
	exitMissing = 127
)

// defaultPath is searched when the environment has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// execute becomes the program. A name without a slash is looked for along the
// process's own PATH, as execvp(3) does: every directory is tried, and a program
// that may not be executed anywhere is "permission denied" only if it is nowhere
// else.
func (b *builder) execute(p *specs.Process) {
	do := fmt.Sprintf("execute %q", p.Args[0])
	argv, envp := b.Strings(p.Args), b.Strings(p.Env)
	result, denied := b.Slot(), b.Slot()
	missing := b.Label()
	if strings.Contains(p.Args[0], "/") {
		b.Call(do, unix.SYS_EXECVE, b.String(p.Args[0]), argv, envp).
			Into(result).Allow(unix.ENOENT, unix.ENOTDIR).Else(missing).Exit(exitDenied)
	} else {
		b.search(do, p, argv, envp, result, denied)
		b.If(denied, stub.Int(0), missing)
		b.Fail(do, denied, exitDenied)
	}
	b.Place(missing)
	b.Fail(do, result, exitMissing)
}

func (b *builder) search(do string, p *specs.Process, argv, envp stub.Addr, result, denied stub.Slot) {
	for _, dir := range strings.Split(searchPath(p.Env), ":") {
		if dir == "" {
			dir = "."
		}
		next, refused := b.Label(), b.Label()
		b.Call(do, unix.SYS_EXECVE, b.String(dir+"/"+p.Args[0]), argv, envp).
			Into(result).Allow(unix.ENOENT, unix.ENOTDIR, unix.EACCES).Exit(exitDenied)
		b.If(result, stub.Int(-int64(unix.EACCES)), refused)
		b.Jump(next)
		b.Place(refused)
		b.Set(denied, result)
		b.Place(next)
	}
}

// searchPath is the PATH that getenv(3) finds in env; without one, defaultPath.
func searchPath(env []string) string {
	for _, one := range env {
		if value, ok := strings.CutPrefix(one, "PATH="); ok {
			return value
		}
	}
	return defaultPath
}
