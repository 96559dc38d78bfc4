package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHashTakesContents: what a service is shown counts, wherever it comes from,
// for this service alone; and none of it is in the hash or in what is stored.
func TestHashTakesContents(t *testing.T) {
	const text = `
name: h
services:
  a: {image: "rootfs:/", secrets: [file, env], configs: [inline]}
  b: {image: "rootfs:/"}
secrets:
  file: {file: ./secret}
  env: {environment: TOKEN}
configs:
  inline: {content: one}
`
	load := func(secret, token, inline string) *Stack {
		return mustLoad(t, Options{Dir: tempFiles(t, map[string]string{
			"stack.yaml": strings.Replace(text, "one", inline, 1), "secret": secret,
		}), Environ: []string{"TOKEN=" + token}})
	}
	hash := func(s *Stack, service string) string {
		h, err := s.Hash(service)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	base := load("f", "t", "i")
	if hash(base, "a") != hash(load("f", "t", "i"), "a") {
		t.Error("the same contents give another hash")
	}
	for what, s := range map[string]*Stack{
		"the file": load("F", "t", "i"), "the variable": load("f", "T", "i"), "the text": load("f", "t", "I"),
	} {
		if hash(s, "a") == hash(base, "a") {
			t.Errorf("%s changed, the hash did not", what)
		}
		if hash(s, "b") != hash(base, "b") {
			t.Errorf("%s changed the hash of a service that does not use it", what)
		}
	}

	stored := roundTrip(t, base)
	if err := os.WriteFile(filepath.Join(base.WorkingDir, "secret"), []byte("later"), 0o600); err != nil {
		t.Fatal(err)
	}
	if hash(stored, "a") != hash(base, "a") {
		t.Error("a stored stack has the hash of the files now, not of those that were loaded")
	}
	text2, err := Encode(load("do-not-store", "t", "i"))
	if err != nil || strings.Contains(string(text2), "do-not-store") {
		t.Errorf("the content of a secret's file is stored (%v)", err)
	}
	narrowed, err := base.Select([]string{"a"}, true)
	if err != nil || hash(narrowed, "a") != hash(base, "a") {
		t.Errorf("a selection has another hash (%v)", err)
	}
}
