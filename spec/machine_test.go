package spec

import (
	"encoding/json"
	"testing"
)

func machineFindings() Diagnostics {
	return Diagnostics{
		{File: "a b/stack.yaml", Line: 3, Col: 5, Rule: "unknown-key", Message: "unknown key \"imgae\"", Hint: "did you mean \"image\"?", Severity: Error},
		{File: "/abs/stack.yaml", Line: 4, Rule: "ignored-key", Message: "no effect", Severity: Warning},
		{File: "gone.yaml", Rule: "file", Message: "not found", Severity: Error},
		{Rule: "unknown-key", Message: "nowhere", Severity: Error},
	}
}

func TestJSON(t *testing.T) {
	text, err := machineFindings().JSON()
	const want = `[
  {
    "file": "a b/stack.yaml",
    "line": 3,
    "column": 5,
    "severity": "error",
    "rule": "unknown-key",
    "message": "unknown key \"imgae\"",
    "hint": "did you mean \"image\"?"
  },
  {
    "file": "/abs/stack.yaml",
    "line": 4,
    "severity": "warning",
    "rule": "ignored-key",
    "message": "no effect"
  },
  {
    "file": "gone.yaml",
    "severity": "error",
    "rule": "file",
    "message": "not found"
  },
  {
    "severity": "error",
    "rule": "unknown-key",
    "message": "nowhere"
  }
]`
	if err != nil || string(text) != want {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err := (Diagnostics)(nil).JSON(); err != nil || string(text) != "[]" {
		t.Errorf("without findings: %v %s", err, text)
	}
}

// TestSARIF: what section 3 of the specification requires of a log is there, and
// every place and rule can be found.
func TestSARIF(t *testing.T) {
	text, err := machineFindings().SARIF("1.2")
	if err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	if err := json.Unmarshal(text, &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name != "stack" || log.Runs[0].Tool.Driver.Version != "1.2" {
		t.Fatalf("%s", text)
	}
	run := log.Runs[0]
	places := []string{"a%20b/stack.yaml", "file:///abs/stack.yaml", "gone.yaml", ""}
	for i, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || r.Message.Text == "" || r.Level != "error" && r.Level != "warning" {
			t.Errorf("%d: %+v", i, r)
		}
		uri := ""
		if len(r.Locations) > 0 {
			uri = r.Locations[0].Physical.Artifact.URI
		}
		if uri != places[i] {
			t.Errorf("%d: place %q, want %q", i, uri, places[i])
		}
	}
	first, second := run.Results[0], run.Results[1].Locations[0].Physical
	if *first.Locations[0].Physical.Region != (sarifRegion{3, 5}) || first.Message.Text != `unknown key "imgae" (did you mean "image"?)` {
		t.Errorf("%+v", first)
	}
	if *second.Region != (sarifRegion{StartLine: 4}) || run.Results[2].Locations[0].Physical.Region != nil {
		t.Errorf("%s", text)
	}
	text, err = (Diagnostics)(nil).SARIF("1.2")
	if err != nil || json.Unmarshal(text, &map[string]any{}) != nil || !json.Valid(text) {
		t.Errorf("without findings: %v %s", err, text)
	}
	var empty struct{ Runs []struct{ Results []any } }
	if err := json.Unmarshal(text, &empty); err != nil || len(empty.Runs) != 1 || empty.Runs[0].Results == nil {
		t.Errorf("without findings results must be empty, not absent: %s", text)
	}
}
