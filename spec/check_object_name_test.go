package spec

import (
	"strings"
	"testing"
)

func TestObjectName(t *testing.T) {
	for name, want := range map[string]bool{
		"": false, "a": true, "7": true, "a_b.c-D": true, "_a": false, ".a": false, "-a": false, "..": false,
		"a/b": false, "a b": false, "aé": false, "a\n": false, "a\x00": false,
		strings.Repeat("x", 255): true, strings.Repeat("x", 256): false,
	} {
		if ObjectName(name) != want {
			t.Errorf("ObjectName(%q) is not %v", name, want)
		}
	}
}
