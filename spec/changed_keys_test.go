package spec

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

func TestChangedKeys(t *testing.T) {
	load := func(keys string) types.ServiceConfig {
		file := filepath.Join(t.TempDir(), "stack.yaml")
		text := "services: {a: {image: x, environment: {A: '1'}" + keys + "}}"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := Load(context.Background(), Options{Files: []string{file}, Project: "p"})
		if err != nil {
			t.Fatal(err)
		}
		return st.Services["a"]
	}
	const resources = ", deploy: {resources: {limits: {memory: %}}}"
	for _, c := range []struct{ old, new, want string }{
		{"", "", ""},
		{"", ", command: b", "command"},
		{"", ", privileged: true, mem_limit: 5m", "mem_limit privileged"},
		{", labels: {a: b}", "", "labels"},
		{", labels: {a: b, c: d}", ", labels: {a: z, e: d}", "labels.a labels.c labels.e"},
		{strings.ReplaceAll(resources, "%", "5m"), strings.ReplaceAll(resources, "%", "6m"), "deploy.resources"},
		{", healthcheck: {test: a, interval: 1s}", ", healthcheck: {test: a, interval: 2s}", "healthcheck.interval"},
		{"", ", x-stack: {isolation: vm}", "x-stack"},
		{", ports: [80]", ", ports: [81]", "ports"},
	} {
		if got := strings.Join(ChangedKeys(load(c.old), load(c.new)), " "); got != c.want {
			t.Errorf("%q → %q: %q, want %q", c.old, c.new, got, c.want)
		}
	}
}
