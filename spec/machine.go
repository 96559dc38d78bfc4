package spec

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"slices"
)

// machineDiagnostic is a diagnostic in our JSON form. What is unknown is left out;
// lines and columns start at 1, columns count characters.
type machineDiagnostic struct {
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// JSON is the diagnostics for programs: an array of objects, empty when all is well.
func (ds Diagnostics) JSON() ([]byte, error) {
	list := make([]machineDiagnostic, len(ds))
	for i, d := range ds {
		list[i] = machineDiagnostic{d.File, d.Line, d.Col, d.Severity, d.Rule, d.Message, d.Hint}
	}
	return json.MarshalIndent(list, "", "  ")
}

// SARIF is the diagnostics as a log of the Static Analysis Results Interchange
// Format 2.1.0 (OASIS), which editors and code hosts show at their places.
func (ds Diagnostics) SARIF(version string) ([]byte, error) {
	var rules []string
	for _, d := range ds {
		rules = append(rules, d.Rule)
	}
	slices.Sort(rules)
	rules = slices.Compact(rules)
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "stack", Version: version, Rules: []sarifRule{}}
	for _, rule := range rules {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{rule})
	}
	for _, d := range ds {
		run.Results = append(run.Results, d.sarif(slices.Index(rules, d.Rule)))
	}
	return json.MarshalIndent(sarifLog{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run},
	}, "", "  ")
}

func (d Diagnostic) sarif(rule int) sarifResult {
	result := sarifResult{RuleID: d.Rule, RuleIndex: rule, Level: string(d.Severity), Message: sarifText{d.Message}}
	if d.Hint != "" {
		result.Message.Text += " (" + d.Hint + ")"
	}
	if d.File == "" {
		return result
	}
	at := sarifPhysical{Artifact: sarifArtifact{fileURI(d.File)}}
	if d.Line > 0 {
		at.Region = &sarifRegion{d.Line, d.Col}
	}
	result.Locations = []sarifLocation{{at}}
	return result
}

// fileURI is a path as a URI, or as a reference relative to the current directory.
func fileURI(path string) string {
	u := url.URL{Path: path}
	if filepath.IsAbs(path) {
		u.Scheme = "file"
	}
	return u.String()
}

// The parts of the format that are used.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID string `json:"id"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)
