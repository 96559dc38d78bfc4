package spec

import "fmt"

// report collects diagnostics.
type report struct {
	list Diagnostics
	// spoilt are places of values found to be broken in form: what else rules
	// would say of them follows from that.
	spoilt map[place]bool
	// files are those that were read or looked for.
	files map[string]bool
	// tolerant makes what cannot be honoured a warning.
	tolerant bool
}

// looks notes a file that is read, or looked for.
func (r *report) looks(path string) {
	if path == stdin || path == "" {
		return
	}
	if r.files == nil {
		r.files = map[string]bool{}
	}
	r.files[path] = true
}

// spoil drops later findings about the value at a place.
func (r *report) spoil(at place) {
	if r.spoilt == nil {
		r.spoilt = map[place]bool{}
	}
	r.spoilt[at] = true
}

func (r *report) add(at place, rule, message, hint string) {
	r.put(at, Diagnostic{Rule: rule, Message: message, Hint: hint, Severity: Error})
}

func (r *report) addf(at place, rule, format string, args ...any) {
	r.add(at, rule, fmt.Sprintf(format, args...), "")
}

func (r *report) warn(at place, rule, message, hint string) {
	r.put(at, Diagnostic{Rule: rule, Message: message, Hint: hint, Severity: Warning})
}

// global reports what has no place in a stack file; file may be empty.
func (r *report) global(file, rule, message, hint string) {
	r.append(Diagnostic{File: file, Rule: rule, Message: message, Hint: hint, Severity: Error})
}

func (r *report) put(at place, d Diagnostic) {
	if r.spoilt[at] {
		return
	}
	if at.from != nil {
		p := at.position()
		d.File, d.Line, d.Col = p.File, p.Line, p.Col
		d.source = at.from.file.line(at.line)
	}
	r.append(d)
}

func (r *report) append(d Diagnostic) {
	if r.tolerant && d.Rule == "unsupported" {
		d.Severity = Warning
	}
	r.list = append(r.list, d)
}
