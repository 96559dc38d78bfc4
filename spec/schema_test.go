package spec

import (
	"testing"
)

// The name that load uses skips this check.
func TestSchemaIsValid(t *testing.T) {
	if _, err := compileSchema("compose-spec.json"); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkCompileSchema(b *testing.B) {
	for b.Loop() {
		if _, err := compileSchema(schemaName); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompileAndCheckSchema(b *testing.B) {
	for b.Loop() {
		if _, err := compileSchema("compose-spec.json"); err != nil {
			b.Fatal(err)
		}
	}
}
