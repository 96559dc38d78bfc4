package spec

import (
	"encoding/json"
	"strings"
	"testing"
)

// definition is what of a JSON schema the test looks at.
type definition struct {
	Ref        string                `json:"$ref"`
	Properties map[string]definition `json:"properties"`
	Items      *definition           `json:"items"`
}

// TestSupportCoversExtension: every key of x-stack in the schema has a line in the
// table, and every line of the table is in the schema.
func TestSupportCoversExtension(t *testing.T) {
	var defs map[string]definition
	if err := json.Unmarshal(xstackDefinitions, &defs); err != nil {
		t.Fatal(err)
	}
	inSchema := map[string]bool{}
	var walk func(path string, d definition)
	walk = func(path string, d definition) {
		inSchema[path] = true
		if line := lineOf(path); line != nil && line.standing != honoured {
			return // keys below it need no lines
		}
		below := d
		if d.Ref != "" {
			below = defs[strings.TrimPrefix(d.Ref, "#/$defs/")]
		}
		for key, next := range below.Properties {
			walk(path+"."+key, next)
		}
		if below.Items != nil {
			for key, next := range below.Items.Properties {
				walk(path+".[]."+key, next)
			}
		}
	}
	walk("services.*.x-stack", definition{Ref: "#/$defs/x_stack_service"})
	walk("networks.*.x-stack", definition{Ref: "#/$defs/x_stack_network"})
	inTable := map[string]bool{}
	for _, s := range xstackSupport() {
		inTable[s.path] = true
		if !inSchema[s.path] {
			t.Errorf("%s is in the table, not in the schema", s.path)
		}
	}
	for path := range inSchema {
		if !inTable[path] {
			t.Errorf("%s is in the schema, not in the table", path)
		}
	}
	if len(inSchema) < 9 || !strings.HasPrefix(extensionKey, "x-") {
		t.Errorf("only %d keys", len(inSchema))
	}
}
