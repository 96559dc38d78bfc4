package spec

import (
	"slices"
	"strings"
)

// joiner merges trees the way compose-go's override package merges models, for
// the sake of the positions: which file's value wins, and in which order list
// entries end up.
type joiner struct{ report *report }

// replaced are attributes (of a service) that an override replaces whole.
var replaced = []string{"command", "entrypoint", "healthcheck.test"}

// keyed are attributes of a service that may be lists of KEY=VALUE or mappings.
var keyedLists = []string{"annotations", "environment", "labels", "sysctls", "extra_hosts",
	"build.args", "build.labels", "build.additional_contexts", "build.extra_hosts", "deploy.labels"}

// sets are attributes of a service that may be lists of names or mappings.
var sets = []string{"depends_on", "networks", "models"}

// lists are attributes of a service that may be one string or a list.
var lists = []string{"dns", "dns_opt", "dns_search", "env_file", "label_file", "tmpfs"}

// merge puts over on top of base and returns the result, which may share both.
func (j joiner) merge(base, over *value, path []string) *value {
	if base == nil || over == nil {
		return either(base, over)
	}
	name := attribute(path)
	base, over = alike(base, over, name)
	switch {
	case over.kind == scalar && over.data == nil:
		return base
	case slices.Contains(replaced, name), base.kind == scalar:
		return over
	case base.kind != over.kind && strings.HasPrefix(name, "ulimits."):
		return over
	case base.kind != over.kind:
		j.report.addf(over.at, "override", "cannot override %s with %s", base.describe(), over.describe())
		return over
	case base.kind == sequence:
		return appended(base, over, name)
	case name == "logging" && differs(base, over, "driver"):
		return over
	}
	over.each(func(member string, v *value) {
		base.set(member, j.merge(base.fields[member], v, append(path, member)))
	})
	return base
}

func either(a, b *value) *value {
	if a == nil {
		return b
	}
	return a
}

// attribute is the path below a service, network or other top-level element;
// "" above that.
func attribute(path []string) string {
	if len(path) < 3 {
		return ""
	}
	return strings.Join(path[2:], ".")
}

func differs(a, b *value, name string) bool {
	x, y := a.get(name), b.get(name)
	return x != nil && y != nil && x.text() != y.text()
}

// alike brings two ways of writing one attribute into one form.
func alike(base, over *value, name string) (*value, *value) {
	if base.kind == over.kind && base.kind != scalar {
		return base, over
	}
	switch {
	case slices.Contains(keyedLists, name):
		return base.asList(), over.asList()
	case slices.Contains(lists, name):
		return base.asList(), over.asList()
	case slices.Contains(sets, name):
		return base.asMapping(), over.asMapping()
	case name == "build":
		return base.asBuild(), over.asBuild()
	}
	return base, over
}

// asList writes a mapping as KEY=VALUE entries and a scalar as the only item.
func (v *value) asList() *value {
	out := &value{kind: sequence, at: v.at, key: v.key}
	switch {
	case v.kind == sequence:
		return v
	case v.kind == scalar && v.data != nil:
		out.items = []*value{v}
	case v.kind == mapping:
		names := slices.Sorted(slices.Values(v.keys))
		for _, name := range names {
			out.items = append(out.items, v.fields[name].entryOf(name)...)
		}
	}
	return out
}

// entryOf is "name=value", or "name" alone for null, for each value of v.
func (v *value) entryOf(name string) []*value {
	if v.kind == scalar && v.data == nil {
		return []*value{{kind: scalar, data: name, at: v.named()}}
	}
	var out []*value
	for _, item := range v.list() {
		out = append(out, &value{kind: scalar, data: name + "=" + item.text(), at: item.at})
	}
	return out
}

// asMapping writes a list of names, or one name, as a mapping to null.
func (v *value) asMapping() *value {
	if v.kind == mapping {
		return v
	}
	out := &value{kind: mapping, fields: map[string]*value{}, at: v.at, key: v.key}
	for _, item := range v.list() {
		out.set(item.text(), &value{kind: scalar, at: item.at, key: item.at})
	}
	return out
}

func (v *value) asBuild() *value {
	if v.kind != scalar || v.data == nil {
		return v
	}
	out := &value{kind: mapping, fields: map[string]*value{}, at: v.at, key: v.key}
	out.set("context", v)
	return out
}

// appended joins lists: equal entries stand once, and of entries for one target
// the last takes the place of the first.
func appended(base, over *value, name string) *value {
	out := &value{kind: sequence, at: base.at, key: base.key, items: slices.Clone(base.items)}
	seen := map[string]int{}
	for i, item := range out.items {
		seen[identity(item, name)] = i
	}
	for _, item := range over.items {
		id := identity(item, name)
		if i, ok := seen[id]; ok {
			out.items[i] = item
			continue
		}
		seen[id] = len(out.items)
		out.items = append(out.items, item)
	}
	return out
}

// identity is what makes two entries of a list the same one.
func identity(item *value, name string) string {
	text := item.text()
	switch {
	case slices.Contains(keyedLists, name):
		key, _, _ := strings.Cut(text, "=")
		return key
	case name == "volumes" || name == "devices":
		return mountTarget(item)
	case name == "configs" || name == "secrets":
		if target := item.get("target"); target != nil {
			return target.text()
		}
		if item.kind == mapping {
			return item.get("source").text()
		}
		return text
	case name == "ipam.config":
		return item.get("subnet").text()
	case item.kind == mapping:
		return item.signature()
	}
	return text
}

// mountTarget is where a volume or device in short or long form appears.
func mountTarget(item *value) string {
	if item.kind == mapping {
		return item.get("target").text()
	}
	parts := strings.Split(item.text(), ":")
	return parts[min(1, len(parts)-1)]
}

// signature is a text that equal trees share.
func (v *value) signature() string {
	switch v.kind {
	case scalar:
		return v.text()
	case sequence:
		parts := make([]string, len(v.items))
		for i, item := range v.items {
			parts[i] = item.signature()
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	var b strings.Builder
	for _, name := range slices.Sorted(slices.Values(v.keys)) {
		b.WriteString(name + ":" + v.fields[name].signature() + ";")
	}
	return "{" + b.String() + "}"
}

// describe names the kind of a value in messages.
func (v *value) describe() string {
	switch {
	case v.kind == mapping:
		return "a mapping"
	case v.kind == sequence:
		return "a list"
	}
	switch v.data.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	}
	return "a number"
}

// without takes the values at paths out of v: what !reset and !override clear.
// Components may be "*"-free names only; list items are left, as in Compose.
func (v *value) without(paths [][]string) {
	for _, path := range paths {
		parent := v
		if len(path) > 1 {
			parent = v.get(path[:len(path)-1]...)
		}
		if parent != nil && parent.kind == mapping && len(path) > 0 {
			parent.remove(path[len(path)-1])
		}
	}
}
