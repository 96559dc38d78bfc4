package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"
	"unicode"
)

// newTemplate parses a --format template with the functions that Docker gives.
func newTemplate(text string) (*template.Template, error) {
	t, err := template.New("format").Funcs(template.FuncMap{
		"json":  func(v any) (string, error) { b, err := encodeJSON(v, ""); return strings.TrimSpace(string(b)), err },
		"join":  strings.Join,
		"split": strings.Split,
		"lower": strings.ToLower,
		"upper": strings.ToUpper,
		"title": titleCase,
		"pad": func(s string, before, after int) string {
			return strings.Repeat(" ", before) + s + strings.Repeat(" ", after)
		},
		"truncate": func(s string, n int) string { r := []rune(s); return string(r[:max(0, min(n, len(r)))]) },
	}).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("cannot parse --format: %w", err)
	}
	return t, nil
}

func titleCase(s string) string {
	r := []rune(s)
	if len(r) > 0 {
		r[0] = unicode.ToTitle(r[0])
	}
	return string(r)
}

func encodeJSON(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// printInspected prints what inspect found: an array, with --format json one object
// a line, else each through the template.
func printInspected(w io.Writer, format string, found []any) error {
	switch format {
	case "":
		if found == nil {
			found = []any{}
		}
		b, err := encodeJSON(found, "    ")
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	case "json":
		for _, v := range found {
			b, err := encodeJSON(v, "")
			if err != nil {
				return err
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}
	t, err := newTemplate(unescape(format))
	if err != nil {
		return err
	}
	for _, v := range found {
		if err := executeInspected(w, t, v); err != nil {
			return err
		}
	}
	return nil
}

// executeInspected tries the value's fields, then its JSON keys: {{.ID}} and
// {{.Id}} both work, as with Docker.
func executeInspected(w io.Writer, t *template.Template, v any) error {
	var b bytes.Buffer
	err := t.Execute(&b, v)
	if err != nil {
		b.Reset()
		raw, err2 := asMap(v)
		if err2 == nil {
			err2 = template.Must(t.Clone()).Option("missingkey=error").Execute(&b, raw)
		}
		if err2 != nil {
			return fmt.Errorf("cannot execute template: %w", errors.Join(err, err2))
		}
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}

func asMap(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var m map[string]any
	return m, dec.Decode(&m)
}
