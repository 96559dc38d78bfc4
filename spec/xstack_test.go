package spec

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

const xstackFile = `services:
  web:
    image: rootfs:/
    x-stack:
      bandwidth: {ingress: 10mbit, egress: 1.5gbit}
      probe:
        http: {port: "8080", path: healthz, headers: {Host: shop}}
        interval: 5s
        timeout: 1m30s
        retries: 4
        start_period: 20s
        start_interval: 500ms
      watch: [{path: ., target: /srv, action: sync+restart, signal: HUP, ignore: [node_modules]}]
      isolation: container
      once: "yes"
  short: {image: rootfs:/, x-stack: {probe: {http: "80/ready?deep=1"}, watch: auto}}
  port: {image: rootfs:/, x-stack: {probe: {http: 80}}}
  tcp: {image: rootfs:/, x-stack: {probe: {tcp: 5432}}}
  exec: {image: rootfs:/, x-stack: {probe: {exec: "pg_isready -U 'the user'"}}}
  list: {image: rootfs:/, x-stack: {probe: {exec: [pg_isready, -q]}}}
  none: {image: rootfs:/}
networks:
  default: {x-stack: {bandwidth: {egress: 800kbit}}}
`

// TestServiceExtension: x-stack reads as its types, also from the stored form.
func TestServiceExtension(t *testing.T) {
	s := mustLoad(t, Options{Dir: tempFiles(t, map[string]string{"stack.yaml": xstackFile})})
	want := map[string]XStack{
		"web": {
			Bandwidth: Bandwidth{Ingress: 10_000_000, Egress: 1_500_000_000},
			Probe: &Probe{
				HTTP:     &HTTPProbe{Port: 8080, Path: "/healthz", Scheme: "http", Headers: map[string]string{"Host": "shop"}},
				Interval: 5 * time.Second, Timeout: 90 * time.Second, Retries: 4,
				StartPeriod: 20 * time.Second, StartInterval: 500 * time.Millisecond,
			},
			Watch:     &Watch{Rules: []WatchRule{{Path: ".", Target: "/srv", Action: "sync+restart", Signal: "HUP", Ignore: []string{"node_modules"}}}},
			Isolation: IsolationContainer, Once: true,
		},
		"short": {Probe: &Probe{HTTP: &HTTPProbe{Port: 80, Path: "/ready?deep=1", Scheme: "http"}}, Watch: &Watch{Auto: true}},
		"port":  {Probe: &Probe{HTTP: &HTTPProbe{Port: 80, Path: "/", Scheme: "http"}}},
		"tcp":   {Probe: &Probe{TCP: 5432}},
		"exec":  {Probe: &Probe{Exec: []string{"pg_isready", "-U", "the user"}}},
		"list":  {Probe: &Probe{Exec: []string{"pg_isready", "-q"}}},
		"none":  {},
	}
	for _, stack := range []*Stack{s, roundTrip(t, s)} {
		for name, service := range stack.Services {
			if got, err := ServiceExtension(service); err != nil || !reflect.DeepEqual(got, want[name]) {
				t.Errorf("%s: %+v %v, want %+v", name, got, err, want[name])
			}
		}
		network, err := NetworkExtension(stack.Networks["default"])
		if err != nil || network.Bandwidth != (Bandwidth{Egress: 800_000}) {
			t.Errorf("network: %+v %v", network, err)
		}
	}
}

// TestExtensionOfUncheckedStack: what no Load judged is an error, not a zero.
func TestExtensionOfUncheckedStack(t *testing.T) {
	bad := types.Extensions{"x-stack": map[string]any{"bandwidth": map[string]any{"egress": "fast"}}}
	if _, err := ServiceExtension(types.ServiceConfig{Name: "a", Extensions: bad}); err == nil || !strings.Contains(err.Error(), `"fast" is no rate`) {
		t.Errorf("service: %v", err)
	}
	if _, err := NetworkExtension(types.NetworkConfig{Name: "n", Extensions: bad}); err == nil {
		t.Error("network: no error")
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"8000bit": 8000, "8kbit": 8000, "10mbit": 10_000_000, "1.5gbit": 1_500_000_000, "0.25mbit": 250_000,
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %d, %v; want %d", text, got, err, want)
		}
		if back, err := ParseRate(got.String()); err != nil || back != got {
			t.Errorf("%q is written %q, which reads as %d, %v", text, got, back, err)
		}
	}
	for _, text := range []string{"", "10", "mbit", "10MB/s", "10Mbit", "-1mbit", "1e9bit", "7999bit", "0mbit", "9999999999gbit", " 1mbit"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %d, want an error", text, got)
		}
	}
}
