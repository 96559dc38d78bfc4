package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/image"
	"stack/scheduler"
)

// maxAccounts bounds /etc/passwd and /etc/group of a container.
const maxAccounts = 16 << 20

// read turns flags into what the program needs. Users are looked up as they are in
// the container now, not as they were in its image.
func (o *execOptions) read(ctx context.Context, s *scheduler.Store, rt *runtimes, i *scheduler.Instance) (scheduler.ExecOptions, error) {
	opt := scheduler.ExecOptions{WorkingDir: o.workdir, Privileged: o.privileged, Env: assignments(o.env)}
	if o.workdir != "" && !strings.HasPrefix(o.workdir, "/") {
		return opt, fmt.Errorf("working directory %q is not an absolute path", o.workdir)
	}
	if o.user == "" {
		return opt, nil
	}
	accounts, err := readAccounts(ctx, rt, i.ID)
	if err != nil {
		return opt, fmt.Errorf("cannot find user %q in container %s: %w", o.user, i.Name, err)
	}
	user, home, err := image.ParseUser(accounts.passwd, accounts.group, o.user, nil)
	if err != nil {
		return opt, fmt.Errorf("cannot find user %q in container %s: %w", o.user, i.Name, err)
	}
	opt.User = &user
	own, err := s.LoadProcess(i.ID)
	if err != nil {
		return opt, err
	}
	if accounts.homeOf(own) {
		opt.Home = home
	}
	return opt, nil
}

// assignments are the KEY=VALUE among args; a bare KEY passes nothing.
func assignments(args []string) map[string]string {
	env := map[string]string{}
	for _, arg := range args {
		if k, v, ok := strings.Cut(arg, "="); ok && k != "" {
			env[k] = v
		}
	}
	return env
}

// accounts are a container's /etc/passwd and /etc/group, nil where absent.
type accounts struct{ passwd, group []byte }

func readAccounts(ctx context.Context, rt *runtimes, id string) (accounts, error) {
	var acc accounts
	read := func(name string) ([]byte, error) { return rt.ReadFile(ctx, id, name) }
	if !rt.Machine(id) {
		root, err := rt.Root(ctx, id)
		if err != nil {
			return acc, err
		}
		defer root.Close()
		read = func(name string) ([]byte, error) { return root.ReadFile(name, maxAccounts) }
	}
	for name, into := range map[string]*[]byte{"/etc/passwd": &acc.passwd, "/etc/group": &acc.group} {
		var err error
		if *into, err = read(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return acc, err
		}
	}
	return acc, nil
}

// homeOf reports whether a program's HOME is merely its user's, not one that the
// file or the image chose for everybody.
func (acc accounts) homeOf(p *specs.Process) bool {
	_, home, err := image.ParseUser(acc.passwd, acc.group, strconv.Itoa(int(p.User.UID)), nil)
	return err == nil && slices.Contains(p.Env, "HOME="+home)
}

// userName is the name of a uid, or the number.
func (acc accounts) userName(uid int) string {
	for line := range strings.Lines(string(acc.passwd)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == strconv.Itoa(uid) && printable(f[0]) {
			return f[0]
		}
	}
	return strconv.Itoa(uid)
}

// printable keeps a container's own words from steering the reader's terminal.
func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
