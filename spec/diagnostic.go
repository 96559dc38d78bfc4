package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a diagnostic stops the load.
type Severity string

const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Diagnostic is one finding in a stack file and the place where it was written.
type Diagnostic struct {
	File string
	// Line and Col start at 1; 0 is unknown. Col counts characters.
	Line, Col int
	// Rule is the short name of what was broken ("unknown-key").
	Rule     string
	Message  string
	Hint     string
	Severity Severity

	source string // the line itself, for Render
}

// String is `file:line:col: message [rule]`, without what is unknown of it.
func (d Diagnostic) String() string {
	var b strings.Builder
	if d.File != "" {
		b.WriteString(Position{File: d.File, Line: d.Line, Col: d.Col}.String())
		b.WriteString(": ")
	}
	if d.Severity == Warning {
		b.WriteString("warning: ")
	}
	fmt.Fprintf(&b, "%s [%s]", d.Message, d.Rule)
	return printable(b.String())
}

// Diagnostics are findings in the order of the files. As an error they hold
// every finding of a load, warnings too.
type Diagnostics []Diagnostic

// Error gives one line a diagnostic.
func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// Failed reports whether one of them stops the load.
func (ds Diagnostics) Failed() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity != Warning })
}

// Sorted orders by place and drops repetitions: one anchor used by ten services
// is one finding.
func (ds Diagnostics) Sorted() Diagnostics {
	out := slices.Clone(ds)
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Col, b.Col), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(out, func(a, b Diagnostic) bool {
		return a.File == b.File && a.Line == b.Line && a.Col == b.Col && a.Rule == b.Rule &&
			(a.Line > 0 || a.Message == b.Message)
	})
}
