package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// document is a project as it is printed. It is made from the JSON of compose-go,
// whose YAML loses the beginning of texts that start with blanks. Each "$" of the
// values is doubled, for their variables are replaced already; nobody replaces
// variables in keys.
func document(p *types.Project) (*yaml.Node, error) {
	text, err := p.MarshalJSON()
	if err != nil {
		return nil, err
	}
	root, err := nodeOf(text)
	if err == nil {
		err = addModels(root, p.Models)
	}
	if err != nil {
		return nil, err
	}
	escapeDollars(root)
	_, services := member(root, "services")
	for i := 1; services != nil && i < len(services.Content); i += 2 {
		if _, limits := member(services.Content[i], "blkio_config"); limits != nil {
			nameDevices(limits)
		}
	}
	return root, nil
}

// nodeOf is a stack file in JSON as a node, its sections in order.
func nodeOf(text []byte) (*yaml.Node, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	root, err := yamlNode(dec)
	if err == nil {
		sortSections(root)
	}
	return root, err
}

// addModels adds the section that compose-go's JSON leaves out.
func addModels(root *yaml.Node, models types.Models) error {
	if key, _ := member(root, "models"); key != nil || len(models) == 0 {
		return nil
	}
	text, err := json.Marshal(map[string]any{"models": models})
	if err != nil {
		return err
	}
	section, err := nodeOf(text)
	if err == nil {
		root.Content = append(root.Content, section.Content...)
	}
	return err
}

func escapeDollars(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value = strings.ReplaceAll(n.Value, "$", "$$")
	}
	for i, c := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			escapeDollars(c)
		}
	}
}

// nameDevices repairs the keys of devices under blkio_config, which compose-go's
// JSON writes as its Go fields.
func nameDevices(limits *yaml.Node) {
	for i := 1; i < len(limits.Content); i += 2 {
		for _, device := range limits.Content[i].Content {
			for _, name := range []string{"Path", "Weight", "Rate"} {
				if key, _ := member(device, name); key != nil {
					key.Value = strings.ToLower(name)
				}
			}
		}
	}
}

// member is a key of a mapping and its value, or nil.
func member(n *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// print writes JSON or YAML, members in their order.
func (o *configOptions) print(w io.Writer, root *yaml.Node) error {
	var out bytes.Buffer
	if o.format == "json" {
		var compact bytes.Buffer
		if err := appendJSON(&compact, root); err != nil {
			return fmt.Errorf("cannot write configuration: %w", err)
		}
		if err := json.Indent(&out, compact.Bytes(), "", "  "); err != nil {
			return fmt.Errorf("cannot write configuration: %w", err)
		}
		out.WriteByte('\n')
	} else {
		enc := yaml.NewEncoder(&out)
		enc.SetIndent(2)
		if err := errors.Join(enc.Encode(root), enc.Close()); err != nil {
			return fmt.Errorf("cannot write configuration: %w", err)
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

func appendJSON(b *bytes.Buffer, n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		text := []byte(n.Value)
		var err error
		if n.Tag == "!!str" {
			text, err = json.Marshal(n.Value)
		}
		b.Write(text)
		return err
	}
	brackets := "[]"
	if n.Kind == yaml.MappingNode {
		brackets = "{}"
	}
	b.WriteByte(brackets[0])
	for i, c := range n.Content {
		switch {
		case i == 0:
		case n.Kind == yaml.MappingNode && i%2 == 1:
			b.WriteByte(':')
		default:
			b.WriteByte(',')
		}
		if err := appendJSON(b, c); err != nil {
			return err
		}
	}
	b.WriteByte(brackets[1])
	return nil
}

// yamlNode reads the next JSON value, members in their order.
func yamlNode(dec *json.Decoder) (*yaml.Node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return yamlMembers(dec, &yaml.Node{Kind: yaml.MappingNode})
	case json.Delim('['):
		return yamlMembers(dec, &yaml.Node{Kind: yaml.SequenceNode})
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(token)}
	if s, ok := token.(string); ok {
		n.Tag, n.Style = "!!str", textStyle(s)
	}
	return n, nil
}

// yamlMembers reads up to the closing delimiter.
func yamlMembers(dec *json.Decoder, n *yaml.Node) (*yaml.Node, error) {
	for dec.More() {
		member, err := yamlNode(dec)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, member)
	}
	_, err := dec.Token()
	return n, err
}

// textStyle keeps lines as lines, but for texts that begin with a blank: no
// encoder writes the indentation of those right.
func textStyle(s string) yaml.Style {
	switch {
	case s != "" && strings.ContainsRune(" \t\n", rune(s[0])):
		return yaml.DoubleQuotedStyle
	case strings.Contains(s, "\n"):
		return yaml.LiteralStyle
	}
	return 0
}

// sortSections brings the top level into the order in which people write it.
func sortSections(root *yaml.Node) {
	order := []string{"name", "services", "jobs", "networks", "volumes", "secrets", "configs", "models"}
	rank := func(pair []*yaml.Node) int {
		if i := slices.Index(order, pair[0].Value); i >= 0 {
			return i
		}
		return len(order)
	}
	pairs := slices.Collect(slices.Chunk(root.Content, 2))
	slices.SortStableFunc(pairs, func(a, b []*yaml.Node) int { return rank(a) - rank(b) })
	root.Content = slices.Concat(pairs...)
}
