package spec

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckSaysWhatLoadSays, of good files and of bad ones.
func TestCheckSaysWhatLoadSays(t *testing.T) {
	good, _ := filepath.Glob("testdata/good/*.yaml")
	bad, _ := filepath.Glob("testdata/err/*.yaml")
	for _, f := range append(good, bad...) {
		o := badOptions(t, f)
		stack, loadErr := Load(t.Context(), o)
		warnings, checkErr := Check(t.Context(), o)
		switch {
		case (loadErr == nil) != (checkErr == nil), loadErr != nil && loadErr.Error() != checkErr.Error():
			t.Errorf("%s: Load says %v, Check %v", f, loadErr, checkErr)
		case loadErr == nil && stack.Warnings.Error() != warnings.Error():
			t.Errorf("%s: Load warns of %v, Check of %v", f, stack.Warnings, warnings)
		}
	}
}

// TestDistinct: an attribute stays unless an equal one, of the same type, stood
// before.
func TestDistinct(t *testing.T) {
	o := Options{Dir: tempFiles(t, map[string]string{"stack.yaml": `services:
  a: {image: x, environment: {A: "5", B: 5}, labels: ["a,b"]}
  b: {image: x, environment: {B: 5, A: "5"}, labels: ["a", "b"]}
  c: {image: x, environment: {A: 5, B: 5}, tty: true}
  d: {image: x, environment: {A: "5", B: 5}, tty: true}
networks: {n: {}}
`})}
	_, err := load(t.Context(), o, func(j *job) error {
		tree := j.model.distinct()
		var kept []string
		tree.get("services").each(func(name string, s *value) { kept = append(kept, name+":"+strings.Join(s.keys, ",")) })
		if got := strings.Join(kept, " "); got != "a:image,environment,labels b:labels c:environment,tty" {
			t.Errorf("kept %s", got)
		}
		if tree.get("networks", "n") == nil {
			t.Error("the networks are gone")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
