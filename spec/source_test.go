package spec

import (
	"path/filepath"
	"strings"
	"testing"
)

const one = "services: {one: {image: rootfs:/}}\n"

// TestDiscovery: which files are loaded, and with which name and environment.
func TestDiscovery(t *testing.T) {
	service := func(name string) string { return "services: {" + name + ": {image: rootfs:/}}\n" }
	dir := tempFiles(t, map[string]string{
		"both/stack.yaml":               service("stack"),
		"both/stack.override.yml":       service("over"),
		"both/compose.yaml":             service("compose"),
		"both/compose.override.yaml":    service("composeover"),
		"compose/compose.yml":           service("compose"),
		"compose/docker-compose.yaml":   service("docker"),
		"compose/compose.override.yaml": service("over"),
		"compose/deep/er/keep":          "",
		"env/.env":                      "COMPOSE_FILE=a.yaml;b.yaml\nCOMPOSE_PATH_SEPARATOR=;\nCOMPOSE_PROJECT_NAME=from-env\nIMG=x\n",
		"env/a.yaml":                    "services: {a: {image: 'rootfs:/${IMG}'}}\n",
		"env/b.yaml":                    service("b"),
		"Name_1.x/stack.yaml":           service("a"),
		"named/stack.yaml":              "name: ${N:-written}\n" + service("a"),
		"named/prod.env":                "N=prod\n",
	})
	for _, c := range []struct {
		at       string
		o        Options
		services string
		name     string
		warnings int
	}{
		{"both", Options{}, "over,stack", "both", 0},
		{"compose", Options{}, "compose,over", "compose", 1},
		{"compose/deep/er", Options{}, "compose,over", "er", 1},
		{"env", Options{}, "a,b", "from-env", 0},
		{"env", Options{Project: "flag"}, "a,b", "flag", 0},
		{"env", Options{Environ: []string{"COMPOSE_FILE=" + filepath.Join(dir, "env/b.yaml")}}, "b", "from-env", 0},
		{"Name_1.x", Options{}, "a", "name_1x", 0},
		{"named", Options{}, "a", "written", 0},
		{"named", Options{EnvFiles: []string{filepath.Join(dir, "named/prod.env")}}, "a", "prod", 0},
		{"named", Options{Environ: []string{"COMPOSE_ENV_FILES=" + filepath.Join(dir, "named/prod.env")}}, "a", "prod", 0},
		{"named", Options{Files: []string{"-"}, Stdin: strings.NewReader(one)}, "one", "named", 0},
	} {
		c.o.Dir = filepath.Join(dir, c.at)
		// COMPOSE_FILE is relative to the current directory, as in Compose.
		t.Run(c.at, func(t *testing.T) {
			t.Chdir(c.o.Dir)
			s := mustLoad(t, c.o)
			if got := strings.Join(s.ServiceNames(), ","); got != c.services || s.Name != c.name || len(s.Warnings) != c.warnings {
				t.Errorf("services %s, name %s, warnings %v; want %s, %s, %d", got, s.Name, s.Warnings, c.services, c.name, c.warnings)
			}
			if s.WorkingDir != c.o.Dir {
				t.Errorf("working directory %s, want %s", s.WorkingDir, c.o.Dir)
			}
		})
	}
}

// TestGlobalProblems are those without a place in a stack file.
func TestGlobalProblems(t *testing.T) {
	dir := tempFiles(t, map[string]string{
		"empty/keep": "", "ok/stack.yaml": one, "bad/stack.yaml": one, "bad/.env": "A=1\nB C=2\n",
		"name/stack.yaml": "name: '...'\n" + one, "upper/stack.yaml": "name: My.App\n" + one,
		"unset/stack.yaml": "services: {a: {image: 'rootfs:/$NOPE'}}\n",
	})
	for _, c := range []struct {
		at   string
		o    Options
		want string
	}{
		{"empty", Options{}, "no stack file found in"},
		{"ok", Options{Files: []string{"nope.yaml", "nope2.yaml"}}, "nope2.yaml: cannot read stack file: no such file or directory [file]"},
		{"ok", Options{Files: []string{"."}}, "it is a directory"},
		{"ok", Options{Project: "Bad Name"}, `-p: "Bad Name" is no project name [project-name]`},
		{"ok", Options{Environ: []string{"COMPOSE_PROJECT_NAME=_x"}}, `COMPOSE_PROJECT_NAME: "_x" is no project name`},
		{"ok", Options{EnvFiles: []string{"none.env"}}, "none.env: cannot read env file: no such file [env-file]"},
		{"bad", Options{}, ".env:2: cannot read env file: key cannot contain a space [env-file]"},
		{"name", Options{}, `stack.yaml:1:7: "..." is no project name [project-name]`},
	} {
		t.Run(c.at, func(t *testing.T) {
			t.Chdir(filepath.Join(dir, c.at))
			if got := renderLoad(t, c.o); !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	for at, want := range map[string]string{
		"upper": `stack.yaml:1:7: warning: the project is called "myapp" [project-name]`,
		"unset": "stack.yaml:1:32: warning: variable NOPE is not set: an empty string takes its place [unset-variable]",
	} {
		t.Run(at, func(t *testing.T) {
			t.Chdir(filepath.Join(dir, at))
			if s := mustLoad(t, Options{}); s.Warnings.Error() != want {
				t.Errorf("got %v, want %s", s.Warnings, want)
			}
		})
	}
}

// TestMergeProblems show in the merged result only; compose-go judges it.
func TestMergeProblems(t *testing.T) {
	dir := tempFiles(t, map[string]string{
		"stack.yaml": "services:\n  a:\n    image: rootfs:/\n    depends_on: {b: {condition: service_started}}\n  b: {image: x}\n",
		"good.yaml":  "services:\n  a:\n    depends_on: {b: {restart: true}}\n",
		"bad.yaml":   "services:\n  b:\n    provider: {options: {a: b}}\n    depends_on:\n      a: {restart: true}\n",
		"kind.yaml":  "services:\n  a:\n    ports: {}\n    image: [x]\n",
	})
	t.Chdir(dir)
	s := mustLoad(t, Options{Files: []string{"stack.yaml", "good.yaml"}})
	if d := s.Services["a"].DependsOn["b"]; d.Condition != "service_started" || !d.Restart {
		t.Errorf("merged dependency %+v", d)
	}
	got := renderLoad(t, Options{Files: []string{"stack.yaml", "kind.yaml"}})
	for _, want := range []string{"kind.yaml:3:12: ports must be a list, not a mapping", "kind.yaml:4:12: image must be a string, not a list"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	dir2 := tempFiles(t, map[string]string{
		"a.yaml": "services:\n  a: {image: x}\n  b: {image: x}\n",
		"b.yaml": "services:\n  a:\n    depends_on: {b: {restart: true}}\n",
	})
	t.Chdir(dir2)
	got = renderLoad(t, Options{Files: []string{"a.yaml", "b.yaml"}})
	if !strings.Contains(got, "b.yaml:3:18:") || !strings.Contains(got, "condition") {
		t.Errorf("got %s", got)
	}
}

// TestConfigOptions are what `stack config` needs.
func TestConfigOptions(t *testing.T) {
	dir := tempFiles(t, map[string]string{"stack.yaml": `
services:
  a:
    image: nginx:${TAG:?missing}
    ports: ["${PORT}:80"]
    env_file: none.env
    volumes: ["./x:/x"]
    networks: [undefined]
    cpus: ${CPUS}
`})
	model, warnings, err := Model(t.Context(), Options{Dir: dir, NoInterpolate: true, NoNormalize: true, NoEnvResolution: true, NoResolvePaths: true})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	raw := model["services"].(map[string]any)["a"].(map[string]any)
	if raw["image"] != "nginx:${TAG:?missing}" || raw["cpus"] != "${CPUS}" || model["networks"] != nil {
		t.Errorf("%+v", model)
	}
	s := mustLoad(t, Options{Dir: dir, Environ: []string{"TAG=1", "PORT=80", "CPUS=1"}, NoConsistency: true, NoEnvResolution: true})
	if a := s.Services["a"]; a.Image != "nginx:1" || a.Volumes[0].Source != filepath.Join(dir, "x") || a.CPUS != 1 {
		t.Errorf("%+v", a)
	}
}
