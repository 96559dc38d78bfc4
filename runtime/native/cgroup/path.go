package cgroup

import (
	"fmt"
	"path"
	"strings"
)

// home is the directory whose descendants are ours, and which goes with the
// last of them.
const home = "/stack"

// checkPath accepts absolute, clean paths below the root.
func checkPath(p string) error {
	if !strings.HasPrefix(p, "/") || p == "/" || path.Clean(p) != p || strings.ContainsAny(p, "\x00\n") {
		return fmt.Errorf("cgroup path %q is not absolute and clean", p)
	}
	return nil
}

// ancestors lists the directories above p, the topmost first, without the root.
func ancestors(p string) []string {
	var up []string
	for d := path.Dir(p); d != "/"; d = path.Dir(d) {
		up = append([]string{d}, up...)
	}
	return up
}

// disposable lists the directories above p that go when they become empty, the
// lowest first.
func disposable(p string) []string {
	if !strings.HasPrefix(p, home+"/") {
		return nil
	}
	up := ancestors(p)
	for i, j := 0, len(up)-1; i < j; i, j = i+1, j-1 {
		up[i], up[j] = up[j], up[i]
	}
	return up
}
