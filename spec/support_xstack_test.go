package spec

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestSupportCoversExtension: every key of x-stack in the schema has a line in the
// table, and every line of the table is in the schema.
func TestSupportCoversExtension(t *testing.T) {
	var defs map[string]struct {
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(xstackDefinitions, &defs); err != nil {
		t.Fatal(err)
	}
	inSchema := map[string]bool{"services.*.x-stack": true, "networks.*.x-stack": true}
	for def, prefix := range map[string]string{"x_stack_service": "services.*.x-stack.", "x_stack_network": "networks.*.x-stack."} {
		for key := range defs[def].Properties {
			inSchema[prefix+key] = true
		}
	}
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
