package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// answerTimeout bounds the wait for a registry's first answer; some take their
// time to check a large upload.
const answerTimeout = 2 * time.Minute

// dialTimeout bounds looking a host up and connecting to it.
const dialTimeout = 10 * time.Second

// perHost gives one host the exceptions that the settings make for it, and every
// other host that it sends us to (token servers, storage) none. Who is redirected
// to another host shows it no password: net/http would, on another port.
type perHost struct {
	host       string
	own, other http.RoundTripper
}

func (p perHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == p.host {
		return dialled(p.own.RoundTrip(r))
	}
	if r.Response != nil && r.Header.Get("Authorization") != "" {
		r = r.Clone(r.Context())
		r.Header.Del("Authorization")
	}
	return dialled(p.other.RoundTrip(r))
}

// unreachable is an error before any answer. It hides that it was a time-out, which
// containerd's client would try again five times, ten seconds each.
type unreachable struct {
	error
	absent bool // there is no such host
}

func dialled(resp *http.Response, err error) (*http.Response, error) {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, context.Canceled) {
		var dns *net.DNSError
		err = unreachable{op, errors.As(op, &dns) && dns.IsNotFound}
	}
	return resp, err
}

// transport makes the connections to host. plain allows it to answer without TLS.
func (s Settings) transport(host string, plain bool) (http.RoundTripper, error) {
	conf, err := s.tlsConfig(host)
	if err != nil {
		return nil, err
	}
	for _, h := range s.SkipVerify {
		conf.InsecureSkipVerify = conf.InsecureSkipVerify || h == host
	}
	var own http.RoundTripper = newTransport(conf)
	if plain {
		own = docker.NewHTTPFallback(own)
	}
	return perHost{host, own, newTransport(&tls.Config{MinVersion: tls.VersionTLS12})}, nil
}

func newTransport(conf *tls.Config) *http.Transport {
	t := docker.DefaultHTTPTransport(conf)
	t.MaxIdleConnsPerHost = 10
	t.ResponseHeaderTimeout = answerTimeout
	t.ForceAttemptHTTP2 = true
	t.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	return t
}

// tlsConfig trusts the system's roots and those of the host's certs.d directory.
func (s Settings) tlsConfig(host string) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, dir := range s.Certs {
		entries, err := os.ReadDir(filepath.Join(dir, host))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read certificates: %w", err)
		}
		for _, e := range entries {
			if err := addCertificate(conf, filepath.Join(dir, host, e.Name())); err != nil {
				return nil, fmt.Errorf("cannot use certificate: %w", err)
			}
		}
	}
	return conf, nil
}

func addCertificate(conf *tls.Config, name string) error {
	switch filepath.Ext(name) {
	case ".crt":
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if conf.RootCAs == nil {
			if conf.RootCAs, err = x509.SystemCertPool(); err != nil {
				return err
			}
		}
		if !conf.RootCAs.AppendCertsFromPEM(data) {
			return fmt.Errorf("%s has no certificate", name)
		}
	case ".cert":
		pair, err := tls.LoadX509KeyPair(name, strings.TrimSuffix(name, ".cert")+".key")
		if err != nil {
			return err
		}
		conf.Certificates = append(conf.Certificates, pair)
	}
	return nil
}
