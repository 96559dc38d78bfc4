package spec

import (
	"strings"
	"testing"
)

// TestEnvFileFormats: by default quotes, comments and variables mean something;
// in a raw file every character stands for itself.
func TestEnvFileFormats(t *testing.T) {
	dir := tempFiles(t, map[string]string{
		"stack.yaml": `services:
  a:
    image: rootfs:/
    environment: {OWN: own}
    env_file:
      - plain.env
      - {path: raw.env, format: raw}
      - {path: none.env, required: false}
`,
		"plain.env": "QUOTED='a b' # comment\nHASH=a#b\nUSES=${OWN}-${OUTER:?needed}\nexport EXPORTED=1\nLATER=${QUOTED}!\n",
		"raw.env":   "\ufeff# comment\nRAW='a b' # not a comment\r\nDOLLAR=$OUTER\n\nEMPTY=\nOUTER\nUNSET\nEQ=a=b\n",
	})
	s := mustLoad(t, Options{Dir: dir, Environ: []string{"OUTER=outer"}})
	got := s.Services["a"].Environment
	for name, want := range map[string]string{
		"QUOTED": "a b", "HASH": "a#b", "USES": "own-outer", "EXPORTED": "1", "LATER": "a b!", "OWN": "own",
		"RAW": "'a b' # not a comment", "DOLLAR": "$OUTER", "EMPTY": "", "OUTER": "outer", "EQ": "a=b",
	} {
		if got[name] == nil || *got[name] != want {
			t.Errorf("%s: %v, want %q", name, got[name], want)
		}
	}
	if _, ok := got["UNSET"]; ok || len(got) != 11 {
		t.Errorf("%d variables: %v", len(got), got)
	}
}

// TestBadEnvFiles are reported where they are wrong.
func TestBadEnvFiles(t *testing.T) {
	dir := tempFiles(t, map[string]string{
		"stack.yaml": `services:
  a:
    image: rootfs:/
    env_file: [{path: a.env, format: json}, {path: b.env, format: raw}, c.env, d.env]
    label_file: l.labels
`,
		"a.env": "A=1\n", "b.env": "A=1\nB C=2\n", "c.env": "A=1\nB=${UNSET:?is needed}\n", "d.env": "X='open\n", "l.labels": "a b=c\n",
	})
	t.Chdir(dir)
	got := renderLoad(t, Options{})
	for _, want := range []string{
		`stack.yaml:4:38: unknown format "json" of an env file [env-file]`,
		"b.env:2: cannot read env file: key cannot contain a space [env-file]",
		"c.env: cannot read env file: required variable UNSET is missing a value: is needed",
		"d.env:2: cannot read env file: unterminated quoted value",
		"l.labels:1: cannot read label file: key cannot contain a space",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}
