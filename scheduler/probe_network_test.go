package scheduler

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
	"stack/spec"
)

func TestServiceProbe(t *testing.T) {
	img := &image.Healthcheck{Test: []string{"CMD", "img"}}
	probe := func(p map[string]any) types.ServiceConfig {
		return types.ServiceConfig{Extensions: types.Extensions{"x-stack": map[string]any{"probe": p}}}
	}
	for name, c := range map[string]struct {
		service types.ServiceConfig
		want    Probe
		url     string
	}{
		"the image's":     {types.ServiceConfig{}, Probe{Test: []string{"CMD", "img"}}, ""},
		"tcp over theirs": {probe(map[string]any{"tcp": 5432}), Probe{TCP: 5432}, "tcp://localhost:5432"},
		"http":            {probe(map[string]any{"http": "80/health?x=1"}), Probe{HTTP: &spec.HTTPProbe{Port: 80, Path: "/health?x=1", Scheme: "http"}}, "http://localhost:80/health?x=1"},
		"exec":            {probe(map[string]any{"exec": []any{"true", "x"}}), Probe{Test: []string{"CMD", "true", "x"}}, ""},
	} {
		c.want.Interval, c.want.Timeout, c.want.StartInterval, c.want.Retries = 30*time.Second, 30*time.Second, 5*time.Second, 3
		got, err := ServiceProbe(c.service, img)
		if err != nil || !reflect.DeepEqual(got, c.want) || got.None() || got.Network() != (c.url != "") {
			t.Errorf("%s: got %+v (%+v), %v", name, got, got.HTTP, err)
		}
		if c.url != "" && got.URL() != c.url {
			t.Errorf("%s: asks %s", name, got.URL())
		}
	}
}

// to is a dialer that leads to a server whatever it is asked for.
func to(l net.Listener) dialer {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, l.Addr().String())
	}
}

func TestHTTPProbe(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		case "/bad":
			w.WriteHeader(503)
			io.WriteString(w, strings.Repeat("no database ", 1000))
		case "/slow":
			<-r.Context().Done()
		case "/asks":
			if r.Host != "shop.example" || r.Header.Get("X-Probe") != "yes" || r.Method != http.MethodGet {
				w.WriteHeader(400)
			}
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	for path, want := range map[string]int{"/": 0, "/moved": 0, "/bad": 1, "/asks": 0} {
		for scheme, server := range map[string]*httptest.Server{"http": plain, "https": secure} {
			p := Probe{HTTP: &spec.HTTPProbe{Port: 80, Path: path, Scheme: scheme, Headers: map[string]string{"Host": "shop.example", "X-Probe": "yes"}}}
			code, output, err := p.ask(t.Context(), to(server.Listener), patience)
			if err != nil || code != want || !strings.HasPrefix(output, p.URL()+": ") || len(output) > probeOutputLimit {
				t.Errorf("%s: got %d, %.80q, %v", p.URL(), code, output, err)
			}
			if path == "/bad" && !strings.Contains(output, "503 Service Unavailable\nno database") {
				t.Errorf("it is not told why: %.80q", output)
			}
		}
	}
	slow := Probe{HTTP: &spec.HTTPProbe{Port: 80, Path: "/slow"}}
	if _, _, err := slow.ask(t.Context(), to(plain.Listener), 20*time.Millisecond); !os.IsTimeout(err) {
		t.Errorf("a server that does not answer: %v", err)
	}
}

const patience = 5 * time.Second

func TestTCPProbe(t *testing.T) {
	var asked []string
	only := func(address string) dialer {
		return func(_ context.Context, _, at string) (net.Conn, error) {
			asked = append(asked, at)
			if at != address {
				return nil, syscall.ECONNREFUSED
			}
			c, _ := net.Pipe()
			return c, nil
		}
	}
	p := Probe{TCP: 80}
	for address, want := range map[string]int{"127.0.0.1:80": 0, "[::1]:80": 0, "nowhere": 1} {
		code, output, err := p.ask(t.Context(), only(address), patience)
		if err != nil || code != want || !strings.HasPrefix(output, "tcp://localhost:80: ") {
			t.Errorf("%s: got %d, %q, %v", address, code, output, err)
		}
	}
	if !strings.Contains(strings.Join(asked, " "), "127.0.0.1:80 [::1]:80") {
		t.Errorf("asked %v", asked)
	}
	broken := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no such process") }
	if code, output, err := p.ask(t.Context(), broken, patience); code != 1 || !strings.Contains(output, "no such process") || err != nil {
		t.Errorf("got %d, %q, %v", code, output, err)
	}
}
