package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/runtime/image/registry/registrytest"
)

func nobody(string) (Secret, error) { return Secret{}, nil }

func client(t *testing.T, s Settings, secret Secret) *Client {
	t.Helper()
	return New(s, "test", func(string) (Secret, error) { return secret, nil })
}

// put pushes one blob and a manifest that is little else.
func put(t *testing.T, c *Client, ref string, data []byte) v1.Descriptor {
	t.Helper()
	ctx := context.Background()
	blob := v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if _, err := c.Push(ctx, ref, blob, nil, opener(data)); err != nil {
		t.Fatal(err)
	}
	m := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`, v1.MediaTypeImageManifest, blob.MediaType, blob.Digest, blob.Size)
	d := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(m), Size: int64(len(m))}
	if sent, err := c.Push(ctx, ref, d, nil, opener(m)); err != nil || !sent {
		t.Fatal(sent, err)
	}
	return blob
}

func opener(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

func fetch(t *testing.T, c *Client, ref string, d v1.Descriptor, offset int64) string {
	t.Helper()
	r, err := c.Fetch(context.Background(), ref, d, offset)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestRegistry goes through each combination of TLS and passwords with the real one.
func TestRegistry(t *testing.T) {
	for _, o := range []registrytest.Options{{}, {TLS: true}, {User: "me", Password: "pw"}, {TLS: true, User: "me", Password: "pw"}} {
		t.Run(fmt.Sprintf("tls=%v,auth=%v", o.TLS, o.User != ""), func(t *testing.T) {
			s := registrytest.Start(t, o)
			settings := Settings{}
			if o.TLS {
				settings.Certs = []string{trust(t, s)}
			}
			c := client(t, settings, Secret{o.User, o.Password})
			ref := s.Addr + "/some/repo:v1"
			if _, err := c.Resolve(context.Background(), ref); !errors.Is(err, ErrNotFound) {
				t.Errorf("nothing there: %v", err)
			}
			blob := put(t, c, ref, []byte("0123456789"))
			if sent, err := c.Push(context.Background(), ref, blob, nil, opener([]byte("0123456789"))); sent || err != nil {
				t.Errorf("a blob that is there: %v %v", sent, err)
			}
			other := s.Addr + "/other:v1"
			if sent, err := c.Push(context.Background(), other, blob, []string{"some/repo"}, func() (io.ReadCloser, error) {
				return nil, errors.New("the blob of another repository was sent")
			}); sent || err != nil {
				t.Errorf("mount: %v %v", sent, err)
			}
			if d, err := c.Resolve(context.Background(), ref); err != nil || d.MediaType != v1.MediaTypeImageManifest {
				t.Errorf("%+v %v", d, err)
			}
			if got := fetch(t, c, ref, blob, 0) + fetch(t, c, ref, blob, 7); got != "0123456789789" {
				t.Errorf("%q", got)
			}
			login(t, settings, s.Addr, o)
			if o.TLS {
				if _, err := client(t, Settings{}, Secret{}).Resolve(context.Background(), ref); err == nil || !strings.Contains(err.Error(), "certificate") {
					t.Errorf("an unknown certificate: %v", err)
				}
				if _, err := client(t, Settings{SkipVerify: []string{s.Addr}}, Secret{o.User, o.Password}).Resolve(context.Background(), ref); err != nil {
					t.Errorf("skipVerify: %v", err)
				}
			}
		})
	}
}

func login(t *testing.T, settings Settings, host string, o registrytest.Options) {
	t.Helper()
	if err := Login(context.Background(), settings, "test", host, Secret{o.User, o.Password}); err != nil {
		t.Errorf("login: %v", err)
	}
	if o.User == "" {
		return
	}
	err := Login(context.Background(), settings, "test", host, Secret{"me", "hunter2"})
	if !errors.Is(err, errDenied) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := New(settings, "test", nobody).Resolve(context.Background(), host+"/some/repo:v1"); err == nil {
		t.Error("let in without a password")
	}
}

// trust makes a certs.d directory.
func trust(t *testing.T, s *registrytest.Server) string {
	t.Helper()
	dir := t.TempDir()
	pem, err := os.ReadFile(s.CA)
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, s.Addr), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, s.Addr, "ca.crt"), pem, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestMirror: asked first, passed over when it has nothing, never pushed to.
func TestMirror(t *testing.T) {
	origin, mirror := registrytest.Start(t, registrytest.Options{}), registrytest.Start(t, registrytest.Options{})
	there := client(t, Settings{}, Secret{})
	both := client(t, Settings{Mirrors: map[string][]string{origin.Addr: {"http://" + mirror.Addr}}}, Secret{})
	a := put(t, there, mirror.Addr+"/a:v1", []byte("of the mirror"))
	b := put(t, both, origin.Addr+"/b:v1", []byte("of the origin"))
	if _, err := there.Resolve(context.Background(), mirror.Addr+"/b:v1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("pushed to a mirror: %v", err)
	}
	for name, blob := range map[string]v1.Descriptor{"/a:v1": a, "/b:v1": b} {
		if _, err := both.Resolve(context.Background(), origin.Addr+name); err != nil {
			t.Error(err)
		}
		if got := fetch(t, both, origin.Addr+name, blob, 0); digest.FromString(got) != blob.Digest {
			t.Errorf("%s: %q", name, got)
		}
	}
	gone := client(t, Settings{Mirrors: map[string][]string{origin.Addr: {"http://127.0.0.1:1"}}}, Secret{})
	if _, err := gone.Resolve(context.Background(), origin.Addr+"/b:v1"); err != nil {
		t.Errorf("a mirror that is down: %v", err)
	}
}

// TestBrokenTransfer: what breaks off goes on where it was, also when the server
// knows no ranges, and an overloaded one is asked again.
func TestBrokenTransfer(t *testing.T) {
	content := strings.Repeat("0123456789", 10_000)
	d := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromString(content), Size: int64(len(content))}
	for _, ranges := range []bool{true, false} {
		var requests, served atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := requests.Add(1)
			at := 0
			if from := r.Header.Get("Range"); from != "" && ranges {
				fmt.Sscanf(from, "bytes=%d-", &at)
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, len(content)-1, len(content)))
			}
			if n == 2 {
				w.Header().Del("Content-Range")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(content)-at))
			if at > 0 {
				w.WriteHeader(http.StatusPartialContent)
			}
			part := content[at:]
			if n < 5 {
				part = part[:min(len(part), 30_000*int(n))]
			}
			k, _ := io.WriteString(w, part) // and the connection breaks off
			served.Add(int64(k))
		}))
		c := client(t, Settings{}, Secret{})
		got := fetch(t, c, strings.TrimPrefix(srv.URL, "http://")+"/r:v1", d, 10)
		srv.Close()
		if got != content[10:] {
			t.Errorf("ranges %v: %d of %d bytes", ranges, len(got), len(content)-10)
		}
		if ranges && served.Load() > int64(len(content))+1000 {
			t.Errorf("%d bytes were sent for %d", served.Load(), len(content))
		}
	}
}

// TestSecretsStaySecret: neither addresses with signatures nor passwords get into
// errors, and a storage server is not given the registry's password.
func TestSecretsStaySecret(t *testing.T) {
	var leaked atomic.Bool
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaked.Store(true)
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer storage.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, storage.URL+"/blob?X-Signature=hunter2", http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	c := New(Settings{PlainHTTP: []string{strings.TrimPrefix(storage.URL, "http://")}}, "test", func(host string) (Secret, error) {
		if host == strings.TrimPrefix(srv.URL, "http://") {
			return Secret{"me", "hunter2"}, nil
		}
		return Secret{}, nil
	})
	r, err := c.Fetch(context.Background(), strings.TrimPrefix(srv.URL, "http://")+"/r:v1", v1.Descriptor{Digest: digest.FromString("x"), Size: 1}, 0)
	if err == nil {
		_, err = io.ReadAll(r)
	}
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "403") {
		t.Errorf("%v", err)
	}
	if leaked.Load() {
		t.Error("the storage server got the password")
	}
}

// TestPlainOnlyWhereAllowed: a host that is not loopback and not in the settings is
// never spoken to without TLS, and the exceptions of one host hold for no other.
func TestPlainOnlyWhereAllowed(t *testing.T) {
	asked := false
	seen := roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = true
		return nil, errors.New("own")
	})
	other := roundTrip(func(r *http.Request) (*http.Response, error) { return nil, errors.New("other") })
	p := perHost{"a.example:5000", seen, other}
	req := func(url string) *http.Request { r, _ := http.NewRequest("GET", url, nil); return r }
	if _, err := p.RoundTrip(req("https://b.example/token")); err.Error() != "other" || asked {
		t.Errorf("%v", err)
	}
	if _, err := p.RoundTrip(req("https://a.example:5000/v2/")); err.Error() != "own" {
		t.Errorf("%v", err)
	}
	c := client(t, Settings{PlainHTTP: []string{"b.example"}}, Secret{})
	for host, plain := range map[string]bool{"a.example": false, "b.example": true, "127.0.0.1:5000": true, "localhost": true, "[::1]:5000": true} {
		h, err := c.hosts(host)
		if err != nil {
			t.Fatal(err)
		}
		_, strict := h[0].Client.Transport.(perHost).own.(*http.Transport)
		if strict == plain {
			t.Errorf("%s: strict %v", host, strict)
		}
	}
}

// TestUnreachable: a host that does not answer is not asked for minutes, one that
// does not exist only once, and one that refuses may be about to start.
func TestUnreachable(t *testing.T) {
	for name, c := range map[string]struct {
		cause    error
		patience time.Duration
		tries    int
	}{
		"absent":  {&net.DNSError{Err: "x", IsNotFound: true}, time.Hour, 1},
		"silent":  {&net.DNSError{Err: "x", IsTimeout: true}, 0, 1},
		"refused": {errors.New("refused"), 300 * time.Millisecond, 3}, // after 0, 200 and 600 ms
	} {
		tries := 0
		err := retryFor(context.Background(), c.patience, func() error {
			tries++
			_, err := dialled(nil, &url.Error{Op: "Head", URL: "https://a.example/?s=hunter2", Err: &net.OpError{Op: "dial", Net: "tcp", Err: c.cause}})
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("containerd's client sees a time-out")
			}
			return err
		})
		if err == nil || tries != c.tries || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %d tries, %v", name, tries, err)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
