package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// NoSuchService is the error for a service that none of known is, with the nearest.
func NoSuchService(name string, known []string) error {
	if near := nearest(name, known); near != "" {
		return fmt.Errorf("no such service: %s (did you mean %q?)", name, near)
	}
	return fmt.Errorf("no such service: %s", name)
}

// NoService is NoSuchService among all that the stack has.
func (s *Stack) NoService(name string) error {
	known := slices.Collect(maps.Keys(s.Services))
	return NoSuchService(name, slices.Sorted(slices.Values(slices.AppendSeq(known, maps.Keys(s.DisabledServices)))))
}

// DidYouMean is a hint when one of candidates is near name, else "".
func DidYouMean(name string, candidates []string) string {
	if best := nearest(name, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return ""
}

// nearest is the candidate with the least edit distance, at most a third of the
// name's length; "-", "_" and case do not count.
func nearest(name string, candidates []string) string {
	if len(name) > 64 {
		return ""
	}
	folded := fold(name)
	best, least := "", max(1, len(folded)/3)+1
	for _, c := range candidates {
		if c == name || len(c) > 64 {
			continue
		}
		if d := distance(folded, fold(c)); d < least && d < len(c) {
			best, least = c, d
		}
	}
	return best
}

func fold(s string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s))
}

// distance is Damerau's restricted edit distance: insertions, deletions,
// substitutions and swaps of neighbours.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
