package spec

import (
	"maps"
	"strings"
	"testing"
)

func TestRawEnvFile(t *testing.T) {
	text := "\ufeffA=\"quoted\" # and so on\n\n  # a comment\n\tB= spaces \nC\nD\nE=\nF=x=y$Z\n"
	lookup := func(name string) (string, bool) { return "from outside", name == "C" }
	got := map[string]string{}
	if err := readRaw(strings.NewReader(text), "f", got, lookup); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"A": `"quoted" # and so on`, "B": " spaces ", "C": "from outside", "E": "", "F": "x=y$Z"}
	if !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, bad := range []string{"=x", "A B=x"} {
		if err := readRaw(strings.NewReader("OK=1\n"+bad), "f", got, nil); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: got error %v", bad, err)
		}
	}
}
