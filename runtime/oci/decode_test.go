package oci

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/runtimetest"
)

// TestDecode holds decode to encoding/json.
func TestDecode(t *testing.T) {
	full, err := json.Marshal(runtimetest.Spec("/r", "sh"))
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{
		string(full),
		`{}`, `null`, `{"linux": null, "process": {}}`, `{"LINUX": {"SECCOMP": {"defaultAction": "SCMP_ACT_ALLOW"}}}`,
		`{"process": {"args": ["a"]}, "process": {"cwd": "/x"}}`,
		`{"unknown": {"a": [1, 2]}, "annotations": {"a": "b"}, "hooks": {"prestart": [{"path": "/x", "timeout": 3}]}}`,
		`{"linux": {"resources": {"memory": {"limit": 5}, "blockIO": {"weightDevice": [{"major": 1, "minor": 2, "weight": 3}]}, "unified": {"a": "b"}},
		  "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0}], "timeOffsets": {"boottime": {"secs": 1}}}}`,
		`{"windows": {"layerFolders": ["x"]}, "solaris": {}, "vm": {"kernel": {"path": "/k"}}}`,
		`{"process": {"user": {"uid": 1, "umask": 18}, "rlimits": [{"type": "RLIMIT_CORE"}], "scheduler": {"policy": "SCHED_IDLE"}, "consoleSize": {"height": 1, "width": 2}}}`,
	}
	for _, text := range texts {
		var want, got specs.Spec
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := decode([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		// Of two of one key encoding/json merges objects, and decode takes the last.
		if text == texts[5] {
			want.Process = &specs.Process{Cwd: "/x"}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", text, got, want)
		}
	}
	var both specs.Spec // the field's own name counts, whatever comes later
	if err := decode([]byte(`{"HOSTNAME": "a", "hostname": "b", "Hostname": "c"}`), &both); err != nil || both.Hostname != "b" {
		t.Errorf("got %q, %v", both.Hostname, err)
	}
	for _, text := range []string{``, `[]`, `{"linux": []}`, `{"linux": {"uidMappings": {}}}`, `{"process": {"args": "x"}}`, `{"hostname": 5}`, `{"a": 1} x`, `{"windows": 1}`} {
		var s specs.Spec
		if err := decode([]byte(text), &s); err == nil {
			t.Errorf("decoded %q", text)
		}
	}
}
