package netns

import (
	"fmt"
	"slices"
	"strings"
)

// A balanced map holds several elements for one key: the backends. They share the
// slots between them, and a random number per new connection finds one:
//
//	tcp . 80 . 0-32767 : 172.16.0.2 . 8080
//	tcp . 80 . 32768-65535 : 172.16.0.3 . 8080
//
// So the rule stays as it is whatever the number of backends, and a change of
// theirs is one transaction. What is established stands in connection tracking
// and does not look here again.

// slots is how many there are: shares of 1023 backends differ by 2 %.
const slots = 1 << 16

// spread is the share of backend i of n.
func spread(i, n int) string {
	return fmt.Sprintf("%d-%d", i*slots/n, (i+1)*slots/n-1)
}

// balance gathers the backends of each key, in any order, and shares the slots
// out among them: elements without a slot become elements with one.
func balance(unshared []element) []element {
	backends := make(map[string][]element)
	var keys []string
	for _, e := range unshared {
		k := strings.Join(e.Key, " ")
		same := func(o element) bool { return slices.Equal(o.Data, e.Data) }
		if len(backends[k]) == 0 {
			keys = append(keys, k)
		}
		if !slices.ContainsFunc(backends[k], same) {
			backends[k] = append(backends[k], e)
		}
	}
	var out []element
	for _, k := range keys {
		all := backends[k]
		slices.SortFunc(all, func(a, b element) int { return slices.Compare(a.Data, b.Data) })
		for i, e := range all {
			out = append(out, element{Key: append(slices.Clone(e.Key), spread(i, len(all))), Data: e.Data})
		}
	}
	return out
}

// unshare takes the slots away again.
func unshare(shared []element) []element {
	out := make([]element, len(shared))
	for i, e := range shared {
		out[i] = element{Key: e.Key[:len(e.Key)-1], Data: e.Data}
	}
	return out
}
