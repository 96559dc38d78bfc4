package spec

import (
	"fmt"
	"slices"
	"strconv"
)

type nodeKind uint8

const (
	scalar nodeKind = iota
	mapping
	sequence
)

// origin is a file in one role: relative paths in it start at dir. A file that
// is included and also extended from has two origins.
type origin struct {
	file *file
	dir  string
}

// place is where something stands in an origin.
type place struct {
	from      *origin
	line, col int
}

func (p place) position() Position {
	if p.from == nil {
		return Position{}
	}
	return Position{File: p.from.file.name, Line: p.line, Col: p.col}
}

// seenFrom names p to a reader of another place: "line 5", or "part.yaml:5" in
// another file.
func (p place) seenFrom(other place) string {
	switch {
	case p.from == nil:
		return "elsewhere"
	case other.from == nil || p.from.file != other.from.file:
		return fmt.Sprintf("%s:%d", p.from.file.name, p.line)
	}
	return fmt.Sprintf("line %d", p.line)
}

// value is a node of a stack file with aliases and merge keys resolved. Merging
// files joins such trees, so that each value keeps the place it was written at.
type value struct {
	kind   nodeKind
	data   any // of a scalar: string, bool, int, int64, uint64, float64 or nil
	keys   []string
	fields map[string]*value
	items  []*value
	at     place // of the value
	key    place // of its key, in a mapping
}

// position is where a reader looks for v: the key of a collection, else the value.
func (v *value) position() Position {
	if v.kind != scalar && v.key.from != nil {
		return v.key.position()
	}
	return v.at.position()
}

// named is the place of v's key, or of v itself in a list.
func (v *value) named() place {
	if v.key.from != nil {
		return v.key
	}
	return v.at
}

// get follows names through mappings; nil when one is absent.
func (v *value) get(path ...string) *value {
	for _, name := range path {
		if v == nil || v.kind != mapping {
			return nil
		}
		v = v.fields[name]
	}
	return v
}

// text is a scalar as a string; "" for nil, null and collections.
func (v *value) text() string {
	if v == nil || v.kind != scalar {
		return ""
	}
	switch d := v.data.(type) {
	case string:
		return d
	case bool:
		return strconv.FormatBool(d)
	case int:
		return strconv.Itoa(d)
	case int64:
		return strconv.FormatInt(d, 10)
	case uint64:
		return strconv.FormatUint(d, 10)
	case float64:
		return strconv.FormatFloat(d, 'g', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(d), 'g', -1, 32)
	}
	return ""
}

// truth is a scalar as a boolean, the way Compose reads one.
func (v *value) truth() bool {
	b, _ := strconv.ParseBool(v.text())
	return b
}

// list are the items of a sequence, or the scalar alone.
func (v *value) list() []*value {
	switch {
	case v == nil || v.kind == mapping || v.kind == scalar && v.data == nil:
		return nil
	case v.kind == scalar:
		return []*value{v}
	}
	return v.items
}

// each calls f for the members of a mapping in the order they were written.
func (v *value) each(f func(name string, member *value)) {
	if v == nil || v.kind != mapping {
		return
	}
	for _, name := range v.keys {
		f(name, v.fields[name])
	}
}

// names calls f for each name in a list of strings or the keys of a mapping.
func (v *value) names(f func(name string, at place, member *value)) {
	if v == nil {
		return
	}
	v.each(func(name string, member *value) { f(name, member.named(), member) })
	if v.kind == sequence {
		for _, item := range v.items {
			f(item.text(), item.at, item)
		}
	}
}

func (v *value) set(name string, member *value) {
	if _, ok := v.fields[name]; !ok {
		v.keys = append(v.keys, name)
	}
	v.fields[name] = member
}

func (v *value) remove(name string) {
	if _, ok := v.fields[name]; ok {
		delete(v.fields, name)
		v.keys = slices.DeleteFunc(v.keys, func(k string) bool { return k == name })
	}
}

// clone copies the collections; scalars are shared and never changed in place
// once a tree was interpolated.
func (v *value) clone() *value {
	if v == nil || v.kind == scalar {
		return v
	}
	c := *v
	if v.kind == mapping {
		c.keys = slices.Clone(v.keys)
		c.fields = make(map[string]*value, len(v.fields))
		for name, member := range v.fields {
			c.fields[name] = member.clone()
		}
		return &c
	}
	c.items = make([]*value, len(v.items))
	for i, item := range v.items {
		c.items[i] = item.clone()
	}
	return &c
}

// plain is v in the types that encoding/json gives, for the schema.
func (v *value) plain() any {
	switch v.kind {
	case mapping:
		m := make(map[string]any, len(v.fields))
		for name, member := range v.fields {
			m[name] = member.plain()
		}
		return m
	case sequence:
		s := make([]any, len(v.items))
		for i, item := range v.items {
			s[i] = item.plain()
		}
		return s
	}
	return v.data
}

func newMapping(at place) *value {
	return &value{kind: mapping, fields: map[string]*value{}, at: at}
}
