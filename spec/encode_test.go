package spec

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

func roundTrip(t testing.TB, s *Stack) *Stack {
	t.Helper()
	text, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return back
}

// TestEncodeKeepsEverything: the decoded project equals the loaded one in every
// field, nil and empty collections included, and so do the hashes.
func TestEncodeKeepsEverything(t *testing.T) {
	for name, s := range corpus(t) {
		s.Warnings = Diagnostics{{File: "f", Line: 1, Col: 2, Rule: "r", Message: "m", Hint: "h", Severity: Warning}}
		back := roundTrip(t, s)
		if !reflect.DeepEqual(s.Project, back.Project) || !reflect.DeepEqual(s.Warnings, back.Warnings) {
			t.Errorf("%s: not equal after a round trip", name)
		}
		for service := range s.AllServices() {
			before, err1 := s.Hash(service)
			after, err2 := back.Hash(service)
			if before != after || before == "" || err1 != nil || err2 != nil {
				t.Errorf("%s: hash of %s: %s, after %s (%v, %v)", name, service, before, after, err1, err2)
			}
		}
	}
}

func TestEncodeHoldsOddValues(t *testing.T) {
	zero, no := 0, false
	when := time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)
	p := &types.Project{
		Name:        "odd",
		WorkingDir:  "/w",
		Environment: types.Mapping{"BYTES": "\xff\xfe", "NUL": "\x00abc", "HTML": "<&>", "EMPTY": ""},
		Services: types.Services{"a": {
			Name:  "a",
			Scale: &zero,
			ContainerSpec: types.ContainerSpec{
				Init: &no, Command: types.ShellCommand{}, Entrypoint: nil,
				Environment: types.MappingWithEquals{"UNSET": nil},
				Networks:    map[string]*types.ServiceNetworkConfig{"default": nil},
			},
		}},
		Extensions: types.Extensions{"x-any": map[string]any{
			"$time": "text", "when": when, "int": 5, "float": 5.0, "big": uint64(math.MaxUint64), "inf": math.Inf(1),
			"nil": nil, "empty": []any{}, "$$": map[string]any{}, "key\xff": "v",
		}},
		Secrets: types.Secrets{"s": {Content: "secret", Environment: "E"}},
		Configs: types.Configs{"c": {Content: "config", Environment: "E"}},
	}
	if back := roundTrip(t, &Stack{Project: p}); !reflect.DeepEqual(p, back.Project) {
		t.Errorf("got  %#v\nwant %#v", back.Project, p)
	}
}

func TestDecodeRefusesTheUnknown(t *testing.T) {
	for text, want := range map[string]string{
		``: "cannot decode", `{}`: "version 0", `{"version":2,"project":{}}`: "version 2",
		`{"version":1,"project":{"Nmae":"x"}}`:         "not known",
		`{"version":1,"project":{"Name":5}}`:           "cannot read",
		`{"version":1,"project":[]}`:                   "object",
		`{"version":1,"project":{"Services":{"a":5}}}`: "object",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Decode(%s) = %v, want %q", text, err, want)
		}
	}
}

// TestEncodeLarge: a stored form of more than a megabyte takes tens of
// milliseconds, and compose-go's loader is not involved.
func TestEncodeLarge(t *testing.T) {
	s := mustLoad(t, Options{Dir: tempFiles(t, map[string]string{"stack.yaml": large(10_000)})})
	text, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := Decode(text); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes decoded in %v", len(text), time.Since(start))
	s.Configs = types.Configs{"big": {Content: strings.Repeat("0123456789abcdef", 1<<17)}}
	if back := roundTrip(t, s); len(back.Configs["big"].Content) != 2<<20 {
		t.Error("2 MB of content did not survive")
	}
}
