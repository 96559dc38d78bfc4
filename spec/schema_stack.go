package spec

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/compose-spec/compose-go/v2/schema"
)

//go:embed xstack.schema.json
var xstackDefinitions []byte

// Schema is the JSON schema of stack files (draft 2020-12), for editors: the
// Compose Specification's and ours for x-stack. Load holds files against it too.
func Schema() ([]byte, error) {
	doc, err := schemaDocument()
	if err != nil {
		return nil, err
	}
	doc["title"] = "Stack file"
	doc["description"] = "A multi-container application: the Compose Specification and x-stack."
	return json.MarshalIndent(doc, "", "  ")
}

// schemaDocument puts our definitions into the specification's schema. Where
// x-stack has no meaning it is refused, though other x-* keys are free.
func schemaDocument() (map[string]any, error) {
	var doc, ours map[string]any
	if err := json.Unmarshal([]byte(schema.Schema), &doc); err != nil {
		return nil, fmt.Errorf("cannot read the schema: %w", err)
	}
	if err := json.Unmarshal(xstackDefinitions, &ours); err != nil {
		return nil, fmt.Errorf("cannot read the schema of x-stack: %w", err)
	}
	defs, _ := doc["$defs"].(map[string]any)
	for name, def := range ours {
		defs[name] = def
	}
	places := map[string]any{
		"service": map[string]any{"$ref": "#/$defs/x_stack_service"},
		"network": map[string]any{"$ref": "#/$defs/x_stack_network"},
		"volume":  false, "secret": false, "config": false,
	}
	for name, sub := range places {
		if err := extendSchema(defs[name], sub); err != nil {
			return nil, fmt.Errorf("cannot extend the schema's %s: %w", name, err)
		}
	}
	return doc, extendSchema(doc, false)
}

// extendSchema gives an object's schema the property x-stack.
func extendSchema(object, property any) error {
	o, _ := object.(map[string]any)
	properties, ok := o["properties"].(map[string]any)
	if !ok {
		return fmt.Errorf("it has no properties")
	}
	properties[extensionKey] = property
	return nil
}
