package spec

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/tree"
)

// standing says what becomes of a key.
type standing uint8

const (
	honoured standing = iota
	warned            // the stack runs, the key does nothing
	refused           // the stack would not mean what it says
)

// support is one line of the table: a key, what becomes of it, and why.
type support struct {
	path     string
	standing standing
	reason   string
}

// supportNode is the table as a trie. A key below one that is warned of or
// refused needs no line of its own, nor does one below a free-form mapping.
type supportNode struct {
	next map[string]*supportNode
	line *support
}

func newSupport() *supportNode {
	root := &supportNode{}
	for _, line := range supportTable() {
		n := root
		for part := range strings.SplitSeq(line.path, ".") {
			if n.next == nil {
				n.next = map[string]*supportNode{}
			}
			if n.next[part] == nil {
				n.next[part] = &supportNode{}
			}
			n = n.next[part]
		}
		n.line = &line
	}
	return root
}

func (n *supportNode) step(name string) *supportNode {
	if n == nil {
		return nil
	}
	if next := n.next[name]; next != nil {
		return next
	}
	return n.next[tree.PathMatchAll]
}

// supportTable lists every key of the Compose Specification. Path components are
// keys, "*" for a name and "[]" for an item of a list.
func supportTable() []support {
	return slices.Concat(
		prefixed("", topSupport()),
		prefixed("services.*.", serviceSupport()),
		prefixed("services.*.", workloadSupport()),
		prefixed("services.*.", containerSupport()),
		prefixed("jobs.*.", triggerSupport()),
		prefixed("jobs.*.", workloadSupport()),
		prefixed("jobs.*.", containerSupport()),
		prefixed("services.*.deploy.", deploySupport()),
		prefixed("networks.*.", networkSupport()),
		prefixed("volumes.*.", volumeSupport()),
		prefixed("secrets.*.", fileSupport("secrets")),
		prefixed("configs.*.", append(fileSupport("configs"), ok("content")...)),
		xstackSupport(),
	)
}

func prefixed(prefix string, list []support) []support {
	out := make([]support, len(list))
	for i, s := range list {
		s.path = prefix + s.path
		out[i] = s
	}
	return out
}

func ok(paths ...string) []support {
	out := make([]support, len(paths))
	for i, p := range paths {
		out[i] = support{path: p}
	}
	return out
}

func warn(reason string, paths ...string) []support   { return with(warned, reason, paths) }
func refuse(reason string, paths ...string) []support { return with(refused, reason, paths) }

func with(s standing, reason string, paths []string) []support {
	out := ok(paths...)
	for i := range out {
		out[i].standing, out[i].reason = s, reason
	}
	return out
}
