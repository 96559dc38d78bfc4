package spec

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// printedSchema is what `stack schema` prints, compiled by itself and held against
// the draft that it names.
func printedSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("stack.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("stack.json")
	if err != nil {
		t.Fatal(err)
	}
	if compiled.DraftVersion != 2020 {
		t.Errorf("draft %d", compiled.DraftVersion)
	}
	return compiled
}

// TestSchemaAcceptsCorpus: the printed schema finds nothing in good files whose
// variables are replaced.
func TestSchemaAcceptsCorpus(t *testing.T) {
	compiled := printedSchema(t)
	for _, f := range goodFiles(t) {
		for _, root := range parsed(t, f) {
			in := interpolator{report: &report{}, env: newEnvironment(goodOptions(f), &report{}).vars, casts: newCasts()}
			in.tree(root)
			if err := compiled.Validate(root.plain()); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}

// TestSchemaRefusesBadExtension: it knows x-stack, and its places.
func TestSchemaRefusesBadExtension(t *testing.T) {
	compiled := printedSchema(t)
	for _, bad := range []string{
		"services: {a: {image: x, x-stack: {prob: {}}}}",
		"services: {a: {image: x, x-stack: 5}}",
		"services: {a: {image: x, x-stack: {bandwidth: {ingress: 1.25MB/s}}}}",
		"services: {a: {image: x, x-stack: {isolation: jail}}}",
		"services: {a: {image: x, x-stack: {probe: {http: {path: /}}}}}",
		"services: {a: {image: x, x-stack: {watch: [{signal: HUP}]}}}",
		"networks: {n: {x-stack: {probe: {tcp: 1}}}}",
		"volumes: {v: {x-stack: {}}}",
		"secrets: {s: {x-stack: {}}}",
		"configs: {c: {x-stack: {}}}",
		"x-stack: {}",
	} {
		r := &report{}
		docs, ok := parse(&origin{file: &file{name: "bad", text: []byte(bad)}}, r)
		if !ok || len(docs) != 1 {
			t.Fatalf("%s: %v", bad, r.list)
		}
		if err := compiled.Validate(docs[0].root.plain()); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
}
