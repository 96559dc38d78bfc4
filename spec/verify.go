package spec

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/loader"
)

// Check judges the files as Load does, without making the stack: what
// `config --check` needs. Without an error the diagnostics are warnings.
//
// Our rules find what is wrong; compose-go is asked all the same, lest a stack
// pass here and fail in Load.
func Check(ctx context.Context, o Options) (Diagnostics, error) {
	return load(ctx, o, func(j *job) error {
		if j.model.composed {
			_, err := j.project(ctx)
			return err
		}
		details := j.details(0, 1)
		details.ConfigFiles[0].Config, _ = j.model.distinct().plain().(map[string]any)
		_, err := loader.LoadWithContext(ctx, details, func(o *loader.Options) {
			j.loaderOptions(o)
			o.SkipNormalization, o.SkipDefaultValues, o.ResolvePaths = true, true, false
		})
		return err
	})
}

// distinct is the tree without the attributes of services that an earlier service
// has with an equal value. Before merging and normalisation compose-go judges
// each attribute by itself, so that it says of this tree what it says of the whole.
func (m *model) distinct() *value {
	tree := newMapping(m.root.at)
	m.root.each(tree.set)
	services := newMapping(place{})
	seen := map[string]bool{}
	for _, s := range m.services {
		kept := newMapping(s.v.at)
		s.v.each(func(name string, v *value) {
			if id := string(v.exact([]byte(name))); !seen[id] {
				seen[id] = true
				kept.set(name, v)
			}
		})
		if len(kept.keys) > 0 {
			services.set(s.name, kept)
		}
	}
	tree.set("services", services)
	return tree
}

// exact appends to b a text that only equal values of equal types share.
func (v *value) exact(b []byte) []byte {
	switch v.kind {
	case mapping:
		b = append(b, '{')
		for _, name := range slices.Sorted(slices.Values(v.keys)) {
			b = strconv.AppendQuote(b, name)
			b = v.fields[name].exact(append(b, ':'))
		}
		return append(b, '}')
	case sequence:
		b = append(b, '[')
		for _, item := range v.items {
			b = append(item.exact(b), ',')
		}
		return append(b, ']')
	}
	if text, ok := v.data.(string); ok {
		return strconv.AppendQuote(b, text)
	}
	return fmt.Appendf(b, "%T %v", v.data, v.data)
}
