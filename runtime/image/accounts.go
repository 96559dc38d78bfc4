package image

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/user"
)

// firstPerson is the lowest id of people on every distribution; below are the
// system's own accounts.
const (
	firstPerson = 1000
	nobodyID    = 65534
)

func isSystem(id int) bool { return id >= 0 && id < firstPerson || id == nobodyID }

// writeAccounts makes passwd and group of the host's system accounts. Names and
// numbers are the host's, so that its packages' programs find their users; people,
// passwords, full names and shells are not. There is no shadow: nobody logs in.
func writeAccounts(to, etc string) error {
	users, err := user.ParsePasswdFileFilter(filepath.Join(etc, "passwd"), func(u user.User) bool {
		return isSystem(u.Uid) && isSystem(u.Gid) && u.Uid != 0
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read /etc/passwd: %w", err)
	}
	groups, err := user.ParseGroupFileFilter(filepath.Join(etc, "group"), func(g user.Group) bool {
		return isSystem(g.Gid) && g.Gid != 0
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read /etc/group: %w", err)
	}
	var passwd, group strings.Builder
	passwd.WriteString("root:x:0:0::/root:/bin/sh\n")
	names := []string{"root"}
	for _, u := range users {
		fmt.Fprintf(&passwd, "%s:x:%d:%d::%s:/usr/sbin/nologin\n", u.Name, u.Uid, u.Gid, systemHome(u.Home))
		names = append(names, u.Name)
	}
	if !slices.Contains(names, "nobody") {
		fmt.Fprintf(&passwd, "nobody:x:%d:%d::/nonexistent:/usr/sbin/nologin\n", nobodyID, nobodyID)
	}
	group.WriteString("root:x:0:\n")
	for _, g := range groups {
		g.List = slices.DeleteFunc(g.List, func(name string) bool { return !slices.Contains(names, name) })
		fmt.Fprintf(&group, "%s:x:%d:%s\n", g.Name, g.Gid, strings.Join(g.List, ","))
	}
	if !slices.ContainsFunc(groups, func(g user.Group) bool { return g.Gid == nobodyID }) {
		fmt.Fprintf(&group, "nogroup:x:%d:\n", nobodyID)
	}
	if err := writeFile(filepath.Join(to, "passwd"), []byte(passwd.String()), 0o644); err != nil {
		return err
	}
	return writeFile(filepath.Join(to, "group"), []byte(group.String()), 0o644)
}

// systemHome keeps a home in the system's own trees and hides any other.
func systemHome(home string) string {
	home = filepath.Clean(home)
	for _, tree := range []string{"/bin", "/dev", "/run", "/usr", "/var"} {
		if home == tree || strings.HasPrefix(home, tree+"/") {
			return home
		}
	}
	return "/nonexistent"
}
