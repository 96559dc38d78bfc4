package spec

import (
	"strconv"
	"strings"
)

// Position is the place where a value was written.
type Position struct {
	File string
	// Line and Col start at 1; 0 is unknown. Col counts characters.
	Line, Col int
}

// String is file:line:col, without what is unknown of it.
func (p Position) String() string {
	parts := []string{p.File}
	if p.Line > 0 {
		parts = append(parts, strconv.Itoa(p.Line))
		if p.Col > 0 {
			parts = append(parts, strconv.Itoa(p.Col))
		}
	}
	return strings.Join(parts, ":")
}

// positions is the merged tree that Load kept beside the project; it has no root
// after Decode.
type positions struct{ root *value }

// At returns the place of a value: At("services", "web", "ports", "0"). For a
// mapping or a sequence it is the place of its key. An entry of a KEY=VALUE list
// is found by its key as well as by its index. When the path leads beyond what
// was written (defaults, normalised values) the nearest enclosing place is given;
// the zero Position when there is none.
func (s *Stack) At(path ...string) Position {
	v := s.positions.root
	if len(path) > 1 && path[0] == "services" && v.child("services").child(path[1]) == nil && v.child("jobs").child(path[1]) != nil {
		path = append([]string{"jobs"}, path[1:]...) // what WithJobs put among the services
	}
	var at Position
	for _, name := range path {
		if v = v.child(name); v == nil {
			break
		}
		at = v.position()
	}
	return at
}

// child is the member of a mapping or sequence, or the KEY=VALUE entry, so named.
func (v *value) child(name string) *value {
	if v == nil {
		return nil
	}
	switch v.kind {
	case mapping:
		return v.fields[name]
	case sequence:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v.items) {
			return v.items[i]
		}
		return v.entry(name)
	}
	return nil
}

// entry finds "name" or "name=…" in a list of strings; the last one counts.
func (v *value) entry(name string) *value {
	for i := len(v.items) - 1; i >= 0; i-- {
		if s, ok := v.items[i].data.(string); ok {
			if key, _, _ := strings.Cut(s, "="); key == name {
				return v.items[i]
			}
		}
	}
	return nil
}
