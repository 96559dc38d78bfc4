package oci

import (
	"encoding/json"
	"testing"
)

// FuzzConfig reads anything as config.json: it is refused or, written again, means
// the same. Nothing panics.
func FuzzConfig(f *testing.F) {
	text, err := json.Marshal(example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"ociVersion":"1.0.0","root":{"path":"r"},"process":{"cwd":"/","args":["x"]},"linux":{}}`))
	f.Add([]byte(`{"ociVersion":"1.0.0","hooks":{"prestart":[{"path":"/x","timeout":-1}]},"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ERRNO"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, err := parseConfig(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(spec)
		if err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		if _, err := parseConfig(again); err != nil {
			t.Errorf("refuses what it accepted: %v", err)
		}
	})
}
