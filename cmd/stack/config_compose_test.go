package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dockerCompose is the command of a Docker Compose of at least version 2, or nil.
// STACK_DOCKER_COMPOSE names one that is not installed.
func dockerCompose() []string {
	candidates := [][]string{{"docker", "compose"}, {"docker-compose"}}
	if path := os.Getenv("STACK_DOCKER_COMPOSE"); path != "" {
		candidates = [][]string{{path}}
	}
	for _, c := range candidates {
		out, err := exec.Command(c[0], append(c[1:], "version", "--short")...).Output()
		if err == nil && !strings.HasPrefix(string(out), "1.") {
			return c
		}
	}
	return nil
}

// TestConfigIsComposes: config prints what Docker Compose prints of the same file,
// as JSON, whatever is left out.
func TestConfigIsComposes(t *testing.T) {
	compose := dockerCompose()
	if compose == nil {
		t.Skip("no Docker Compose of version 2 or later is installed, and STACK_DOCKER_COMPOSE names none")
	}
	files := inCorpus(t)
	for _, flags := range [][]string{
		nil, {"--no-interpolate"}, {"--no-normalize"}, {"--no-path-resolution"}, {"--no-consistency"},
		{"--no-interpolate", "--no-normalize", "--no-path-resolution"},
		{"--services"}, {"--volumes"}, {"--networks"}, {"--models"}, {"--images"}, {"--profiles"}, {"--environment"},
	} {
		lists := len(flags) == 1 && !strings.HasPrefix(flags[0], "--no-")
		if !lists {
			flags = append(flags, "--format", "json")
		}
		compared := 0
		for _, f := range files {
			args := append([]string{"-f", f, "config"}, flags...)
			theirs, err := exec.Command(compose[0], append(slices.Clone(compose[1:]), args...)...).Output()
			if err != nil {
				continue // a key that it does not know yet
			}
			compared++
			ours := printed(t, args...)
			switch {
			case lists:
				if sortedLines(ours) != sortedLines(theirs) {
					t.Errorf("%s %v: %s, Docker Compose %s", f, flags, ours, theirs)
				}
			default:
				for _, d := range difference(fromJSON(t, ours), fromJSON(t, theirs), "") {
					if known := onPurpose()[f]; known == "" || !strings.HasPrefix(d, known) {
						t.Errorf("%s %v: ours, Docker Compose's: %s", f, flags, d)
					}
				}
			}
		}
		t.Logf("%v: %d files compared", flags, compared)
		if compared < 50 {
			t.Errorf("%v: only %d files compared", flags, compared)
		}
	}
}

// onPurpose is where in a file ours differs.
func onPurpose() map[string]string {
	return map[string]string{
		// A service that a profile disables is not printed; a dependency on it could
		// not be read back.
		"keycloak.yaml": ".services.keycloak.depends_on.mail",
		// A "$" in a key is not doubled, since nobody replaces variables there.
		"substitution.yaml": ".services.forms.environment.",
		// compose-go's JSON gives devices Go's names, which nobody reads back.
		"clickhouse.yaml": ".services.clickhouse.blkio_config.",
		"limits.yaml":     ".services.hog.blkio_config.",
		// Its JSON leaves the models out, and then nobody can read it back.
		"models.yaml": ".models",
		// Before compose-go 2.16.2 hooks did not read the env files of theirs.
		"hooks.yaml": ".services.app.pre_start",
	}
}

// TestComposeReadsConfig: Docker Compose reads what config prints of a file that it
// reads.
func TestComposeReadsConfig(t *testing.T) {
	compose := dockerCompose()
	if compose == nil {
		t.Skip("no Docker Compose of version 2 or later is installed, and STACK_DOCKER_COMPOSE names none")
	}
	read := 0
	for _, f := range inCorpus(t) {
		quiet := func(file string) ([]byte, error) {
			args := append(slices.Clone(compose[1:]), "-f", file, "--project-directory", ".", "config", "-q")
			return exec.Command(compose[0], args...).CombinedOutput()
		}
		if _, err := quiet(f); err != nil {
			continue // a key that it does not know yet
		}
		for _, format := range []string{"yaml", "json"} {
			copied := filepath.Join(t.TempDir(), "copy.yaml")
			if err := os.WriteFile(copied, printed(t, "-f", f, "config", "--format", format), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := quiet(copied); err != nil {
				t.Errorf("%s as %s: %s", f, format, out)
			}
			read++
		}
	}
	if read < 100 {
		t.Errorf("only %d documents read", read)
	}
}

func sortedLines(text []byte) string {
	return strings.Join(slices.Sorted(strings.SplitSeq(strings.TrimSpace(string(text)), "\n")), "\n")
}

func fromJSON(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// TestConfigIsComposeOnes: the Python Docker Compose, which Debian has, prints an
// older format; read by us it means what the file means to us.
func TestConfigIsComposeOnes(t *testing.T) {
	if out, err := exec.Command("docker-compose", "version", "--short").Output(); err != nil || !strings.HasPrefix(string(out), "1.") {
		t.Skip("no Docker Compose of version 1 is installed")
	}
	inCorpus(t)
	for _, f := range []string{"wordpress.yaml", "elastic.yaml", "airflow.yaml", "php.yaml", "gitea.yaml"} {
		theirs, err := exec.Command("docker-compose", "-f", f, "config").Output()
		if err != nil {
			t.Errorf("%s: docker-compose cannot read it: %v", f, err)
			continue
		}
		copied := filepath.Join(t.TempDir(), "copy.yaml")
		if err := os.WriteFile(copied, theirs, 0o600); err != nil {
			t.Fatal(err)
		}
		ours := fromJSON(t, printed(t, "-f", f, "config", "--format", "json"))
		read := fromJSON(t, printed(t, "-f", copied, "--project-directory", ".", "config", "--format", "json"))
		for _, d := range difference(ours, read, "") {
			if !strings.HasPrefix(d, ".x-") { // it leaves out extensions
				t.Errorf("%s: ours, docker-compose's: %s", f, d)
			}
		}
	}
}
