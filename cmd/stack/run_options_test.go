package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

func TestRunEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("A=file\nB=file\nC=${KNOWN}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	known := types.Mapping{"KNOWN": "known", "EMPTY": ""}
	env, err := runEnv([]string{"A=flag", "KNOWN", "EMPTY", "NOWHERE", "D=x=y", "E="}, []string{file}, known)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"A": "flag", "B": "file", "C": "known", "KNOWN": "known", "EMPTY": "", "D": "x=y", "E": ""}
	if len(env) != len(want) {
		t.Errorf("%d variables, want %d", len(env), len(want))
	}
	for k, v := range want {
		if env[k] == nil || *env[k] != v {
			t.Errorf("%s is %v, want %q", k, env[k], v)
		}
	}
	if _, err := runEnv([]string{"=x"}, nil, known); err == nil {
		t.Error("a variable without a name was accepted")
	}
	if _, err := runEnv(nil, []string{file + "-not"}, known); err == nil {
		t.Error("a missing file was accepted")
	}
}

func TestRunVolumes(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	st := &spec.Stack{Project: &types.Project{Volumes: types.Volumes{"data": {}}}}
	got, err := runVolumes([]string{"./a:/a", "/b:/b:ro", "data:/data", "/anonymous"}, st)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Type != "bind" || got[0].Source != filepath.Join(here, "a") || got[1].Source != "/b" || !got[1].ReadOnly ||
		got[2].Type != "volume" || got[2].Source != "data" || got[3].Type != "volume" || got[3].Target != "/anonymous" {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"nonesuch:/x", "/a:relative", "", "a:b:c:d:e"} {
		if _, err := runVolumes([]string{bad}, st); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestRunPorts(t *testing.T) {
	got, err := runPorts([]string{"8080:80", "127.0.0.1:53:53/udp", "90"})
	if err != nil || len(got) != 3 || got[0].Published != "8080" || got[0].Target != 80 || got[1].Protocol != "udp" || got[2].Published != "" {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := runPorts([]string{"x:80"}); err == nil {
		t.Error("x:80 was accepted")
	}
}

func TestScaleArgs(t *testing.T) {
	got, err := scaleArgs([]string{"a=1", "b=0"})
	if err != nil || got["a"] != 1 || len(got) != 2 {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"a", "a=", "=1", "a=-1", "a=x"} {
		if _, err := scaleArgs([]string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
