package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"unicode"
)

// column is one column of a table: its title and the field of the row it shows.
type column struct{ title, field string }

// printRows prints a listing in Docker's formats: a table, JSON with one object a
// line, a Go template, or "table" and a template. A row is a struct whose fields
// have Docker's names.
func printRows[T any](w io.Writer, format string, rows []T, columns ...column) error {
	switch {
	case format == "" || format == "table":
		return printTable(w, tableTemplate(columns), rows, columns)
	case strings.HasPrefix(format, "table "):
		return printTable(w, unescape(strings.TrimPrefix(format, "table ")), rows, columns)
	case format == "json":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	t, err := newTemplate(unescape(format))
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := t.Execute(w, r); err != nil {
			return fmt.Errorf("cannot execute template: %w", err)
		}
		fmt.Fprintln(w)
	}
	return nil
}

// printEach prints one word of each row: a listing with -q.
func printEach[T any](w io.Writer, rows []T, word func(T) string) error {
	for _, r := range rows {
		fmt.Fprintln(w, word(r))
	}
	return nil
}

// tableTemplate is the template of the default table.
func tableTemplate(columns []column) string {
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = "{{." + c.field + "}}"
	}
	return strings.Join(cells, "\t")
}

func printTable[T any](w io.Writer, text string, rows []T, columns []column) error {
	t, err := newTemplate(text)
	if err != nil {
		return err
	}
	titles := map[string]string{} // those of fields that only templates show are their names
	for f := range reflect.TypeFor[T]().Fields() {
		titles[f.Name] = strings.ToUpper(f.Name)
	}
	for _, c := range columns {
		titles[c.field] = c.title
	}
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	line := func(data any) error {
		var b strings.Builder
		if err := t.Execute(&b, data); err != nil {
			return fmt.Errorf("cannot execute template: %w", err)
		}
		_, err := fmt.Fprintln(tw, plain(b.String()))
		return err
	}
	if err := line(titles); err != nil {
		return err
	}
	for _, r := range rows {
		if err := line(r); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// printArray prints rows as Docker Compose does where it prints JSON: one array.
func printArray[T any](w io.Writer, rows []T) error {
	if rows == nil {
		rows = []T{}
	}
	return json.NewEncoder(w).Encode(rows)
}

// plain makes text of labels, commands and file names safe for a terminal. Tabs
// separate columns and stay.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// plainLines is plain for text of several lines.
func plainLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = plain(lines[i])
	}
	return strings.Join(lines, "\n")
}

// unescape reads \t and \n as people write them in a shell's quotes.
func unescape(s string) string {
	return strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(s)
}

// oneOf reports an unknown word of a flag.
func oneOf(flag, value string, known ...string) error {
	for _, k := range known {
		if value == k {
			return nil
		}
	}
	return fmt.Errorf("unknown --%s %q: %s", flag, value, strings.Join(known, " or "))
}
