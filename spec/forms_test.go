package spec

import (
	"reflect"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// TestVariableForms: each form of a variable gives what the specification says.
func TestVariableForms(t *testing.T) {
	s := corpus(t)["substitution.yaml"].Services["forms"]
	want := types.ShellCommand{
		"1.27 1.27",
		"default default default []",
		"1.27 1.27 []",
		"[set] [] [set] []",
		"1.27 /home/tester a:b-c?d+e",
		"$TAG ${TAG} $$ $5",
	}
	if !reflect.DeepEqual(s.Command, want) {
		t.Errorf("command %q, want %q", s.Command, want)
	}
	if *s.Scale != 2 || !*s.Init || s.Privileged || s.MemReservation != 64<<20 || s.Ports[0].Target != 8080 || s.Ports[0].Published != "18080" {
		t.Errorf("cast: %+v", s)
	}
	if limits := s.Deploy.Resources.Limits; limits.Pids != 30 || limits.NanoCPUs != 0.5 || *s.HealthCheck.Retries != 4 {
		t.Errorf("cast: %+v, retries %d", limits, *s.HealthCheck.Retries)
	}
	if s.Ulimits["nofile"].Soft != 10 || s.Ulimits["nofile"].Hard != 20 || *s.Environment["PORT"] != "8080" {
		t.Errorf("cast: %+v %v", s.Ulimits["nofile"], s.Environment)
	}
	if _, ok := s.Environment["${TAG}"]; !ok {
		t.Error("a key was replaced")
	}
}

// TestResetAndOverride: !reset takes back, !override replaces in the place of merging.
func TestResetAndOverride(t *testing.T) {
	stack := corpus(t)["reset.yaml"]
	web := stack.Services["web"]
	if len(web.Ports) != 1 || web.Ports[0].Published != "8080" || len(web.Volumes) != 0 || web.Command != nil {
		t.Errorf("%+v", web)
	}
	if _, ok := web.Environment["A"]; ok || *web.Environment["B"] != "b" || *web.Environment["C"] != "c" {
		t.Errorf("environment %v", web.Environment)
	}
	if _, ok := stack.AllServices()["extra"]; ok || len(stack.Volumes) != 0 {
		t.Errorf("services %v, volumes %v", stack.ServiceNames(), stack.VolumeNames())
	}
	if at := stack.At("services", "web", "ports", "0"); at.Line != 14 {
		t.Errorf("ports stand in %v", at)
	}
	worker := corpus(t)["monorepo.yaml"].Services["worker"]
	if len(worker.Ports) != 1 || worker.Ports[0].Published != "4001" || *worker.Environment["PORT"] != "4000" || worker.User != "node" {
		t.Errorf("worker %+v", worker)
	}
}

// TestFilesOfLabels: a label of the service wins over one of its files.
func TestFilesOfLabels(t *testing.T) {
	dir := tempFiles(t, map[string]string{
		"stack.yaml": "services: {a: {image: rootfs:/, label_file: [one.labels, two.labels], labels: {own: yes, both: service}}}\n",
		"one.labels": "first=1\nboth=file\n", "two.labels": "second='two words'\n",
	})
	got := mustLoad(t, Options{Dir: dir}).Services["a"].Labels
	want := types.Labels{"first": "1", "second": "two words", "own": "yes", "both": "service"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
}
