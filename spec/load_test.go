package spec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

func mustLoad(t testing.TB, o Options) *Stack {
	t.Helper()
	s, err := Load(t.Context(), o)
	if err != nil {
		t.Fatalf("%v:\n%v", o.Files, err)
	}
	return s
}

// tempFiles makes a file below a new directory and returns that.
func tempFiles(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadFollowsCompose(t *testing.T) {
	stacks := corpus(t)
	web := stacks["web.yaml"]
	if web.Name != "shop" || web.Secrets["db_password"].Content != "hunter2" {
		t.Errorf("name %q, secret %q", web.Name, web.Secrets["db_password"].Content)
	}
	if got := *web.Services["app"].Deploy.Replicas; got != 3 {
		t.Errorf("replicas %d", got)
	}
	in := stacks["interpolation.yaml"].Services["a"]
	want := types.ShellCommand{"echo", "$HOME", "${HOME}", "deep", "empty"}
	if !reflect.DeepEqual(in.Command, want) || !in.Tty || in.CPUS != 0.5 || *in.Scale != 2 || in.DependsOn["b"].Required {
		t.Errorf("interpolated: %+v %v %v", in.Command, in.Tty, in.DependsOn)
	}
	if init := stacks["interpolation.yaml"].Services["b"].Init; init == nil || !*init {
		t.Error(`init: "yes" is not true`)
	}
	ext := stacks["extends.yaml"].Services
	if *ext["grandchild"].Environment["B"] != "3" || *ext["remote"].Environment["EXPANDED"] != "1.27-x" {
		t.Errorf("extends: %v %v", ext["grandchild"].Environment, ext["remote"].Environment)
	}
	if len(ext["remote"].Volumes) != 2 || ext["remote"].Volumes[0].Source != abs(t, "testdata/good/parts/theirs") {
		t.Errorf("extends volumes: %+v", ext["remote"].Volumes)
	}
	if q := stacks["include.yaml"].Services["queue"]; q.Image != "rabbitmq:3.13" || len(q.Volumes) != 2 {
		t.Errorf("include: %+v", q)
	}
	if p := stacks["multidoc.yaml"].Services["a"].Ports; len(p) != 1 || p[0].Published != "81" {
		t.Errorf("override: %+v", p)
	}
}

func TestScaleAndReplicasAgree(t *testing.T) {
	dir := tempFiles(t, map[string]string{"stack.yaml": "services:\n  a:\n    image: rootfs:/\n    scale: 4\n    deploy: {labels: {a: b}}\n"})
	s := mustLoad(t, Options{Dir: dir})
	if got := s.Services["a"].Deploy.Replicas; got == nil || *got != 4 {
		t.Errorf("replicas %v, want 4", got)
	}
}

func TestProfilesAndSelection(t *testing.T) {
	file := []string{"testdata/good/profiles.yaml"}
	names := func(o Options) string {
		o.Files = file
		s, err := Load(t.Context(), o)
		if err != nil {
			return "error: " + strings.Split(err.Error(), "[")[0]
		}
		return strings.Join(s.ServiceNames(), ",")
	}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "web"},
		{Options{Profiles: []string{"debug"}}, `error: testdata/good/profiles.yaml:6:23: service "debug" needs "absentee", which no active profile enables `},
		{Options{Environ: []string{"COMPOSE_PROFILES=tools"}}, "error: testdata/good/profiles.yaml:10:15: env file testdata/good/not-there.env not found "},
		{Options{Profiles: []string{"*"}, NoEnvResolution: true}, "absentee,debug,web"},
		{Options{Profiles: []string{"tools"}, Services: []string{"web"}}, "web"},
		{Options{Services: []string{"debug"}, NoDeps: true}, "debug"},
		{Options{Services: []string{"wbe"}}, "error: testdata/good/profiles.yaml: no such service: wbe "},
	} {
		if got := names(c.o); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.o, got, c.want)
		}
	}
}

func TestCancelledLoad(t *testing.T) {
	dir := tempFiles(t, map[string]string{"stack.yaml": "services: {a: {image: x}}"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, Options{Dir: dir}); err == nil || errors.As(err, new(Diagnostics)) {
		t.Errorf("cancelled load: %v", err)
	}
}
