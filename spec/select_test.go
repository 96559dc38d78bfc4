package spec

import (
	"strings"
	"testing"
)

func TestSelect(t *testing.T) {
	s := mustLoad(t, Options{NoEnvResolution: true, Dir: tempFiles(t, map[string]string{"stack.yaml": `
services:
  web: {image: x, depends_on: [app], links: [cache]}
  app: {image: x, depends_on: {db: {condition: service_started}, opt: {condition: service_started, required: false}}}
  db: {image: x}
  cache: {image: x}
  other: {image: x}
  opt: {image: x, profiles: [p]}
  tool: {image: x, profiles: [t], network_mode: "service:db"}
`})})
	for _, c := range []struct {
		names []string
		deps  bool
		want  string
	}{
		{nil, true, "app,cache,db,other,web"},
		{[]string{"web"}, true, "app,cache,db,web"},
		{[]string{"web"}, false, "web"},
		{[]string{"tool"}, true, "db,tool"},
		{[]string{"other", "db"}, false, "db,other"},
	} {
		got, err := s.Select(c.names, c.deps)
		if err != nil {
			t.Fatal(err)
		}
		if names := strings.Join(got.ServiceNames(), ","); names != c.want {
			t.Errorf("%v: %s, want %s", c.names, names, c.want)
		}
		if len(got.Services)+len(got.DisabledServices) != 7 {
			t.Errorf("%v: services were lost", c.names)
		}
		for name, service := range got.Services {
			for to := range service.DependsOn {
				if _, ok := got.Services[to]; !ok && len(c.names) > 0 {
					t.Errorf("%v: %s depends on %s, which is gone", c.names, name, to)
				}
			}
		}
		if a, b := mustHash(t, s, "web"), mustHash(t, got, "web"); a != b {
			t.Error("selecting changed a hash")
		}
	}
	if len(s.Services["web"].DependsOn) != 2 {
		t.Error("Select changed the original")
	}
	if _, err := s.Select([]string{"none"}, true); err == nil || err.Error() != "no such service: none" {
		t.Errorf("unknown service: %v", err)
	}
}

func mustHash(t *testing.T, s *Stack, service string) string {
	t.Helper()
	h, err := s.Hash(service)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
