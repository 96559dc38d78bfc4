package spec

import (
	"strings"
	"testing"
)

func TestRender(t *testing.T) {
	long := strings.Repeat("x", 300)
	ds := Diagnostics{
		{File: "f.yaml", Line: 3, Col: 5, Rule: "r", Message: "m \x1b[31m\u202e", Hint: "h", Severity: Error, source: "\tä: \x1b]0;x\x07y"},
		{File: "f.yaml", Line: 4, Col: 250, Rule: "r", Message: "long", Severity: Warning, source: long},
		{Message: "global", Rule: "g", Severity: Error},
	}
	var plain, color strings.Builder
	_ = ds.Render(&plain, false)
	_ = ds.Render(&color, true)
	want := "f.yaml:3:5: m \ufffd[31m\ufffd [r]\n" +
		"    3 |  ä: \ufffd]0;x\ufffdy\n" +
		"      |     ^\n" +
		"        h\n" +
		"f.yaml:4:250: warning: long [r]\n" +
		"    4 | …" + strings.Repeat("x", 110) + "\n" +
		"      | " + strings.Repeat(" ", 60) + "^\n" +
		"global [g]\n"
	if plain.String() != want {
		t.Errorf("got\n%s\nwant\n%s", plain.String(), want)
	}
	if !strings.Contains(color.String(), red+"^"+reset) || strings.Contains(plain.String(), "\x1b") {
		t.Errorf("colours: %q", color.String())
	}
	if !ds.Failed() || (Diagnostics{ds[1]}).Failed() {
		t.Error("Failed is wrong")
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"depends_on", "deploy", "image", "init", "ports", "working_dir"}
	for name, want := range map[string]string{
		"imgae": "image", "prots": "ports", "dependsOn": "depends_on", "WORKINGDIR": "working_dir", "int": "init",
		"xyz": "", "image": "", "x": "", "ini": "init", strings.Repeat("a", 100): "",
	} {
		if got := nearest(name, keys); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
