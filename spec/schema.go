package spec

import (
	"errors"
	"slices"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// schemaName stands where the library takes a schema as valid: to hold this one,
// which is part of the program, against its meta-schema would be half the work of
// compiling it, in every command. A test does it.
const schemaName = "https://json-schema.org/compose-spec.json"

// composeSchema is the schema of stack files, compiled once.
var composeSchema = sync.OnceValues(func() (*jsonschema.Schema, error) { return compileSchema(schemaName) })

func compileSchema(name string) (*jsonschema.Schema, error) {
	doc, err := schemaDocument()
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

// validate holds v, which stands at path, against the schema and reports every
// violation at its place. Of a partial document (an override, a base to extend
// from) nothing is required to be complete.
func (c *composer) validate(v *value, path []string, partial bool) {
	root, err := composeSchema()
	if err != nil {
		c.report.global("", "internal", "cannot compile the schema: "+err.Error(), "")
		return
	}
	sv := schemaView{root: root, tree: v, path: path, partial: partial}
	for _, sub := range sv.at(path) {
		err := sub.Validate(v.plain())
		var failed *jsonschema.ValidationError
		if !errors.As(err, &failed) {
			continue
		}
		for _, leaf := range leaves(failed) {
			sv.explain(c.report, leaf)
		}
		return
	}
}

// leaves are the violations at the ends of the tree of causes. Of alternatives
// only those count whose type fits, so that a misspelt key in a mapping is not
// reported as "must be a string" too.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	switch e.ErrorKind.(type) {
	case *kind.OneOf, *kind.AnyOf:
		return bestBranch(e)
	}
	var out []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		out = append(out, leaves(cause)...)
	}
	return out
}

// bestBranch gives the violations of the alternative that fits best; when the
// value is of none of the types, one violation that names them all.
func bestBranch(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	var best []*jsonschema.ValidationError
	wanted := &kind.Type{}
	for _, cause := range e.Causes {
		branch := leaves(cause)
		if t, ok := branch[0].ErrorKind.(*kind.Type); ok && len(branch[0].InstanceLocation) == len(e.InstanceLocation) {
			wanted.Got = t.Got
			wanted.Want = append(wanted.Want, t.Want...)
			continue
		}
		if best == nil || len(branch) < len(best) {
			best = branch
		}
	}
	if best != nil {
		return best
	}
	return []*jsonschema.ValidationError{{SchemaURL: e.SchemaURL, InstanceLocation: e.InstanceLocation, ErrorKind: wanted}}
}

// schemaView looks up parts of the schema by instance path.
type schemaView struct {
	root    *jsonschema.Schema
	tree    *value   // stands at path
	path    []string // of tree in the whole document
	partial bool
}

// at are the schemas that may apply to the value at path, references resolved.
func (s schemaView) at(path []string) []*jsonschema.Schema {
	current := []*jsonschema.Schema{s.root}
	for _, name := range path {
		var next []*jsonschema.Schema
		for _, sub := range expand(current) {
			next = append(next, member(sub, name)...)
		}
		current = next
	}
	return current
}

// expand adds what the schemas refer to and combine.
func expand(list []*jsonschema.Schema) []*jsonschema.Schema {
	var out []*jsonschema.Schema
	for len(list) > 0 {
		s := list[0]
		list = list[1:]
		if s == nil || slices.Contains(out, s) {
			continue
		}
		out = append(out, s)
		list = slices.Concat(list, []*jsonschema.Schema{s.Ref}, s.AllOf, s.AnyOf, s.OneOf)
	}
	return out
}

// member are the schemas of one property or item.
func member(s *jsonschema.Schema, name string) []*jsonschema.Schema {
	var out []*jsonschema.Schema
	if p, ok := s.Properties[name]; ok {
		out = append(out, p)
	}
	for pattern, p := range s.PatternProperties {
		if pattern.String() != "^x-" && pattern.MatchString(name) {
			out = append(out, p)
		}
	}
	if p, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
		out = append(out, p)
	}
	if s.Items2020 != nil {
		out = append(out, s.Items2020)
	}
	return out
}

// properties are the keys that a mapping at path may have; open is the pattern
// of free names, if it has any.
func (s schemaView) properties(path []string) (names []string, open string) {
	for _, sub := range expand(s.at(path)) {
		for name := range sub.Properties {
			names = append(names, name)
		}
		for pattern := range sub.PatternProperties {
			if pattern.String() != "^x-" {
				open = pattern.String()
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), open
}
