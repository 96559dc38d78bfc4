package spec

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// oddities are what TestMutatedFiles puts in the place of any value.
func oddities() []string {
	return []string{"null", "5", `"7"`, "-1", "1.5", "true", `""`, "text", "[]", "{}", "[a, b]", "[5]", "[null]", "[{}]", "{a: b}",
		"{a: null}", "{a: {}}", "{a: [1]}", "99999999999999999999", ".inf", "2024-01-01", `"a:b"`, `"a:/b:c"`, `"0x10"`, "${X}", "1_000", "010"}
}

// TestMutatedFiles: a good file with any value replaced loads or gives
// diagnostics of ours; compose-go neither panics nor has to find the problem.
func TestMutatedFiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	files, _ := filepath.Glob("testdata/good/*.yaml")
	for range iterations() {
		text := mutated(t, rng, files[rng.IntN(len(files))])
		checkMutated(t, text, Options{Files: []string{"-"}, Dir: "testdata/good", Stdin: strings.NewReader(text)})
	}
}

// TestMutatedParts: the same for files that are included or extended from.
func TestMutatedParts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/good")); err != nil {
		t.Fatal(err)
	}
	parts, _ := filepath.Glob("testdata/good/parts/*.yaml")
	for range iterations() / 3 {
		part := parts[rng.IntN(len(parts))]
		text := mutated(t, rng, part)
		copied := filepath.Join(dir, "parts", filepath.Base(part))
		good, err1 := os.ReadFile(part)
		err2 := os.WriteFile(copied, []byte(text), 0o644)
		for _, f := range []string{"extends.yaml", "include.yaml"} {
			checkMutated(t, text, Options{Files: []string{filepath.Join(dir, f)}})
		}
		if err := errors.Join(err1, err2, os.WriteFile(copied, good, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// checkMutated: no finding is left to compose-go, and each has a place.
func checkMutated(t *testing.T, text string, o Options) {
	t.Helper()
	o.Environ, o.Project = testEnviron, "m"
	_, err := Load(t.Context(), o)
	if err == nil {
		return
	}
	checkDiagnostics(t, err)
	for _, d := range err.(Diagnostics) {
		if d.Rule == "compose" || d.Line == 0 && d.Rule != "file" {
			t.Errorf("found by compose-go only, or without a place: %s\n%s", d.Message, text)
		}
	}
}

// iterations is a second's work, or what STACK_MUTATIONS says.
func iterations() int {
	n, err := strconv.Atoi(os.Getenv("STACK_MUTATIONS"))
	if err != nil {
		n = 600
	}
	return n
}

// mutated replaces one value of a file, or all of a kind.
func mutated(t *testing.T, rng *rand.Rand, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var values []*yaml.Node
	collect(&doc, &values)
	odd := oddities()[rng.IntN(len(oddities()))]
	var replacement yaml.Node
	if err := yaml.Unmarshal([]byte(odd), &replacement); err != nil {
		t.Fatal(err)
	}
	target := values[rng.IntN(len(values))]
	anchor := target.Anchor
	*target = *replacement.Content[0]
	target.Anchor = anchor
	out, err := yaml.Marshal(&doc)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("# %s: %s\n%s", path, odd, out)
}

func collect(n *yaml.Node, values *[]*yaml.Node) {
	for i, c := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			*values = append(*values, c)
		}
		collect(c, values)
	}
}
