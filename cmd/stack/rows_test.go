package main

import (
	"strings"
	"testing"
)

type testRow struct{ Name, Labels string }

func TestPrintRows(t *testing.T) {
	rows := []testRow{{"web", "a=1"}, {"evil\x1b[2J\n", "b"}}
	for _, c := range []struct{ format, want string }{
		{"", "NAME\nweb\nevil\ufffd[2J\ufffd\n"},
		{"table {{.Name}}\\t{{.Labels}}", "NAME           LABELS\nweb            a=1\nevil\ufffd[2J\ufffd    b\n"},
		{"json", `{"Name":"web","Labels":"a=1"}` + "\n" + `{"Name":"evil\u001b[2J\n","Labels":"b"}` + "\n"},
		{"{{upper .Name}}", "WEB\nEVIL\x1b[2J\n\n"},
		{"{{json .Labels}}", "\"a=1\"\n\"b\"\n"},
	} {
		var b strings.Builder
		if err := printRows(&b, c.format, rows, column{"NAME", "Name"}); err != nil {
			t.Errorf("%q: %v", c.format, err)
		}
		if trimmed(b.String()) != trimmed(c.want) {
			t.Errorf("%q: got %q, want %q", c.format, b.String(), c.want)
		}
	}
	for _, bad := range []string{"{{", "{{.Nonsense}}"} {
		if err := printRows(&strings.Builder{}, bad, rows); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// trimmed forgets how wide columns are.
func trimmed(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestPrintInspected(t *testing.T) {
	v := struct {
		ID    string `json:"Id"`
		Count int
		Env   []string
	}{"x", 3, []string{"A=<&>"}}
	for _, c := range []struct{ format, want string }{
		{"", "[\n    {\n        \"Id\": \"x\",\n        \"Count\": 3,\n        \"Env\": [\n            \"A=<&>\"\n        ]\n    }\n]\n"},
		{"json", `{"Id":"x","Count":3,"Env":["A=<&>"]}` + "\n"},
		{"{{.ID}} {{.Count}}", "x 3\n"},
		{"{{.Id}} {{.Count}}", "x 3\n"}, // by JSON key
		{"{{if eq .Count 3}}three{{end}}", "three\n"},
		{`{{join .Env ","}} {{json .Env}}`, "A=<&> [\"A=<&>\"]\n"},
	} {
		var b strings.Builder
		if err := printInspected(&b, c.format, []any{v}); err != nil || b.String() != c.want {
			t.Errorf("%q: %v, got %q, want %q", c.format, err, b.String(), c.want)
		}
	}
	var b strings.Builder
	if err := printInspected(&b, "{{.Nope}}", []any{v}); err == nil || b.Len() > 0 {
		t.Errorf("a key that is not there: %v, %q", err, b.String())
	}
}

func TestFilters(t *testing.T) {
	f, err := parseFilters([]string{"label=a", "label=b=2", "name=^web$", "name=db", "status=exited"}, "label", "name", "status")
	if err != nil {
		t.Fatal(err)
	}
	if !f.labelled(map[string]string{"a": "", "b": "2"}) || f.labelled(map[string]string{"a": "", "b": "3"}) || f.labelled(map[string]string{"b": "2"}) {
		t.Error("labels must all match")
	}
	if !f.named("name", "web") || !f.named("name", "mydb1") || f.named("name", "web2") {
		t.Error("one of the names must match, as a pattern")
	}
	if !f.is("status", "exited") || f.is("status", "running") || !f.is("other", "anything") {
		t.Error("status")
	}
	for _, bad := range []string{"color=red", "name"} {
		if _, err := parseFilters([]string{bad}, "name"); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
