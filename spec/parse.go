package spec

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxValues bounds what aliases may blow a file up to.
const maxValues = 500_000

// parse gives the documents of f as trees; ok is false when a syntax error ended
// it early. Every problem is reported.
func parse(f *origin, r *report) (docs []document, ok bool) {
	nodes, err := f.file.nodes()
	if err != nil {
		r.syntax(f, err)
	}
	for _, node := range nodes {
		b := builder{from: f, report: r, open: map[*yaml.Node]bool{}}
		if doc, ok := b.document(node); ok {
			docs = append(docs, doc)
		}
	}
	return docs, err == nil
}

// document is one YAML document: its tree and what !reset and !override take
// out of the files before it.
type document struct {
	root   *value
	resets [][]string
}

// builder turns yaml nodes into values, following aliases and merge keys.
type builder struct {
	from   *origin
	report *report
	open   map[*yaml.Node]bool // anchors being expanded
	count  int
	resets [][]string
}

var errTooLarge = errors.New("too large")

func (b *builder) document(node *yaml.Node) (document, bool) {
	if node.Kind != yaml.DocumentNode || len(node.Content) == 0 {
		return document{}, false
	}
	node = node.Content[0]
	root, err := b.build(node, nil)
	switch {
	case err != nil:
		b.report.add(b.place(node), "yaml-syntax", fmt.Sprintf("aliases expand to more than %d values", maxValues), "")
		return document{}, false
	case root == nil:
		return document{}, false
	case root.kind != mapping:
		b.report.add(root.at, "type", "a stack file must be a mapping, not "+root.describe(), "")
		return document{}, false
	}
	return document{root: root, resets: b.resets}, true
}

func (b *builder) place(n *yaml.Node) place {
	return place{from: b.from, line: n.Line, col: n.Column}
}

// build returns nil for a value tagged !reset.
func (b *builder) build(n *yaml.Node, path []string) (*value, error) {
	if b.count++; b.count > maxValues {
		return nil, errTooLarge
	}
	switch n.Tag {
	case "!reset":
		b.resets = append(b.resets, clonePath(path))
		return nil, nil
	case "!override":
		b.resets = append(b.resets, clonePath(path))
	}
	switch n.Kind {
	case yaml.AliasNode:
		return b.alias(n, path)
	case yaml.MappingNode:
		return b.mapping(n, path)
	case yaml.SequenceNode:
		return b.sequence(n, path)
	}
	return &value{kind: scalar, data: b.scalar(n, path), at: b.place(n)}, nil
}

func clonePath(path []string) []string { return append([]string{}, path...) }

func (b *builder) alias(n *yaml.Node, path []string) (*value, error) {
	if b.open[n.Alias] {
		b.report.add(b.place(n), "yaml-syntax", fmt.Sprintf("anchor %q contains itself", n.Value), "")
		return &value{kind: scalar, at: b.place(n)}, nil
	}
	b.open[n.Alias] = true
	defer delete(b.open, n.Alias)
	return b.build(n.Alias, path)
}

func (b *builder) sequence(n *yaml.Node, path []string) (*value, error) {
	v := &value{kind: sequence, at: b.place(n), items: make([]*value, 0, len(n.Content))}
	for i, c := range n.Content {
		item, err := b.build(c, append(path, strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		if item != nil {
			v.items = append(v.items, item)
		}
	}
	return v, nil
}

func (b *builder) mapping(n *yaml.Node, path []string) (*value, error) {
	v := newMapping(b.place(n))
	seen := map[string]int{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, c := n.Content[i], n.Content[i+1]
		name, ok := b.name(k, seen)
		if !ok {
			continue
		}
		if name == "<<" && k.ShortTag() == "!!merge" {
			merges = append(merges, c)
			continue
		}
		member, err := b.build(c, append(path, name))
		if err != nil {
			return nil, err
		}
		if member != nil {
			v.set(name, b.keyed(member, k))
		}
	}
	for _, m := range merges {
		if err := b.merge(v, m, path); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// keyed gives member its key's place; it was built for this mapping alone.
func (b *builder) keyed(member *value, k *yaml.Node) *value {
	member.key = b.place(k)
	return member
}

// name is the string a key stands for; it reports other keys and repetitions.
func (b *builder) name(k *yaml.Node, seen map[string]int) (string, bool) {
	if k.Kind == yaml.AliasNode && k.Alias != nil {
		k = k.Alias
	}
	if tag := k.ShortTag(); k.Kind != yaml.ScalarNode || tag != "!!str" && tag != "!!merge" {
		b.report.add(b.place(k), "key-type", fmt.Sprintf("a key must be a string, not %s", nodeText(k)), quoteHint(k))
		return "", false
	}
	if line, ok := seen[k.Value]; ok {
		b.report.add(b.place(k), "duplicate-key", fmt.Sprintf("key %q stands already in line %d", k.Value, line), "")
		return "", false
	}
	seen[k.Value] = k.Line
	return k.Value, true
}

func nodeText(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return "a collection"
}

func quoteHint(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return fmt.Sprintf("write %q", n.Value)
	}
	return ""
}

// merge adds to v the members of the mapping (or list of mappings) under `<<`
// that v has not.
func (b *builder) merge(v *value, n *yaml.Node, path []string) error {
	from, err := b.build(n, path)
	if err != nil || from == nil {
		return err
	}
	sources := []*value{from}
	if from.kind == sequence {
		sources = from.items
	}
	for _, source := range sources {
		if source.kind != mapping {
			b.report.add(b.place(n), "type", "a merge key (<<) takes a mapping or a list of mappings", "")
			continue
		}
		source.each(func(name string, member *value) {
			if _, ok := v.fields[name]; !ok {
				v.set(name, member)
			}
		})
	}
	return nil
}

// scalar resolves as YAML 1.2 does; binary data stay text. compose-go fails on
// the time.Time that it makes of a date.
func (b *builder) scalar(n *yaml.Node, path []string) any {
	switch n.ShortTag() {
	case "!!timestamp":
		if !slices.ContainsFunc(path, func(p string) bool { return strings.HasPrefix(p, "x-") }) {
			b.report.add(b.place(n), "type", "a date must be put in quotes", quoteHint(n))
		}
	case "!!null":
		return nil
	case "!!bool", "!!int", "!!float":
		var v any
		if n.Decode(&v) != nil {
			break
		}
		if f, ok := v.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
			b.report.add(b.place(n), "type", "a number must be finite", quoteHint(n))
		}
		return v
	}
	return n.Value
}
