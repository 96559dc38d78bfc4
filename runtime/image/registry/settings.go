package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
)

// DefaultSettings is where Settings are read from unless STACK_REGISTRIES names
// another file.
const DefaultSettings = "/etc/stack/registries.json"

// Settings say how this machine reaches registries: a JSON file.
//
//	{
//	  "mirrors":    {"docker.io": ["https://mirror.example", "http://10.0.0.5:5000"]},
//	  "plainHTTP":  ["registry.lan:5000"],
//	  "skipVerify": ["old.lan"],
//	  "certs":      ["/etc/stack/certs.d", "/etc/docker/certs.d"]
//	}
//
// Hosts are as in image references. Mirrors are asked first, in order, and only
// for pulls. Loopback addresses may always speak plain HTTP.
type Settings struct {
	Mirrors map[string][]string `json:"mirrors,omitempty"`
	// PlainHTTP hosts may answer without TLS; SkipVerify hosts have certificates
	// that nobody can check.
	PlainHTTP  []string `json:"plainHTTP,omitempty"`
	SkipVerify []string `json:"skipVerify,omitempty"`
	// Certs are directories with a directory HOST[:PORT] for each registry, in it
	// *.crt (roots) and pairs of *.cert and *.key (the client's certificate).
	Certs []string `json:"certs,omitempty"`
}

// LoadSettings reads a file of settings; without one, defaults.
func LoadSettings(name string) (Settings, error) {
	s := Settings{Certs: []string{"/etc/stack/certs.d", "/etc/docker/certs.d"}}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("cannot read registry settings: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("cannot read registry settings %s: %w", name, err)
	}
	for host, mirrors := range s.Mirrors {
		for _, m := range mirrors {
			if _, err := mirrorURL(m); err != nil {
				return s, fmt.Errorf("cannot read registry settings %s: mirror of %s: %w", name, host, err)
			}
		}
	}
	return s, nil
}

// mirrorURL reads the address of a mirror; a bare host means https.
func mirrorURL(m string) (*url.URL, error) {
	if !strings.Contains(m, "://") {
		m = "https://" + m
	}
	u, err := url.Parse(m)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("%q is not an http or https address", u.Redacted())
	}
	return u, nil
}

func (s Settings) plainHTTP(host string) bool { return slices.Contains(s.PlainHTTP, host) }
