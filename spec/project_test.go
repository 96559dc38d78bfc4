package spec

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"go.yaml.in/yaml/v4"
	yaml3 "gopkg.in/yaml.v3"
)

// TestShortCutIsTheSame: handing compose-go our tree gives the project that
// handing it the file gives. An empty second file makes it take the long way.
func TestShortCutIsTheSame(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.yaml")
	if err := os.WriteFile(empty, []byte("services: {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, short := range corpus(t) {
		long := mustLoad(t, Options{Files: []string{"testdata/good/" + name, empty}, Environ: testEnviron})
		long.ComposeFiles = short.ComposeFiles
		if !reflect.DeepEqual(short.Project, long.Project) {
			t.Errorf("%s: the projects differ", name)
		}
	}
}

// TestScalarsReadAlike: the YAML library of the positions and the one of
// compose-go take plain scalars for the same things.
func TestScalarsReadAlike(t *testing.T) {
	for _, s := range []string{"1", "010", "0o10", "0x1F", "0b11", "1_000", "+5", "1e3", "1.50", ".5", "5.", "yes", "no", "on",
		"y", "true", "True", "TRUE", "~", "null", "Null", "", "1:30", "12:30:45", "0.0.0.0", "1.2.3", "=", "!!str 5", "9223372036854775808",
		"-9223372036854775809", "0640", "08", "'5'", `"5"`, "5 # five", "a#b", "-.5", "1e", "0x", "0o8"} {
		var three, four any
		err3, err4 := yaml3.Unmarshal([]byte("v: "+s), &three), yaml.Unmarshal([]byte("v: "+s), &four)
		if (err3 == nil) != (err4 == nil) || !reflect.DeepEqual(three, four) {
			t.Errorf("%q: v3 %#v %v, v4 %#v %v", s, three, err3, four, err4)
		}
	}
}
