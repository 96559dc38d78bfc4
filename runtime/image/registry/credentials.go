package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// hubServer is the name under which Docker's hub stands in config.json.
const hubServer = "https://index.docker.io/v1/"

// Credentials are names and passwords as Docker's config.json keeps them: in the
// file, or with credential helpers that it names.
type Credentials struct {
	file string
	conf dockerConfig
	rest map[string]json.RawMessage // the whole file, for writing it back
}

type dockerConfig struct {
	Auths       map[string]json.RawMessage `json:"auths"`
	CredHelpers map[string]string          `json:"credHelpers"`
	CredsStore  string                     `json:"credsStore"`
}

// authEntry is one of auths. Other keys of it are dropped when it is replaced.
type authEntry struct {
	Auth          string `json:"auth,omitempty"` // base64 of USER:PASSWORD
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
}

// Secret is what opens a registry. Without a User it is a refresh token.
type Secret struct{ User, Password string }

// ConfigFile is the path of Docker's config.json: in $DOCKER_CONFIG or ~/.docker.
func ConfigFile(getenv func(string) string) string {
	dir := getenv("DOCKER_CONFIG")
	if dir == "" {
		home := getenv("HOME")
		if home == "" {
			home = "/root"
		}
		dir = filepath.Join(home, ".docker")
	}
	return filepath.Join(dir, "config.json")
}

// LoadCredentials reads a config.json; a file that is not there has none.
func LoadCredentials(file string) (*Credentials, error) {
	c := &Credentials{file: file, rest: map[string]json.RawMessage{}}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read credentials: %w", err)
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return c, nil
	}
	if err := errors.Join(json.Unmarshal(data, &c.rest), json.Unmarshal(data, &c.conf)); err != nil {
		return nil, fmt.Errorf("cannot read credentials in %s: not the JSON that is wanted there", file) // no word of its content
	}
	return c, nil
}

// Lookup gives the secret for a registry's host; the zero Secret for none.
func (c *Credentials) Lookup(host string) (Secret, error) {
	server := serverName(host)
	if h := c.helper(server); h != "" {
		s, err := helperGet(h, server)
		if err != nil || s != (Secret{}) {
			return s, err
		}
	}
	raw, ok := c.conf.Auths[server]
	for name, other := range c.conf.Auths {
		if !ok && serverName(hostOf(name)) == server {
			raw, ok = other, true
		}
	}
	if !ok {
		return Secret{}, nil
	}
	return decodeEntry(server, raw)
}

func decodeEntry(server string, raw json.RawMessage) (Secret, error) {
	bad := fmt.Errorf("cannot read the credentials for %s: they are malformed", server)
	var e authEntry
	if json.Unmarshal(raw, &e) != nil {
		return Secret{}, bad
	}
	if e.IdentityToken != "" {
		return Secret{Password: e.IdentityToken}, nil
	}
	if e.Auth == "" {
		return Secret{e.Username, e.Password}, nil
	}
	plain, err := base64.StdEncoding.DecodeString(e.Auth)
	user, password, found := strings.Cut(string(plain), ":")
	if err != nil || !found {
		return Secret{}, bad
	}
	return Secret{user, strings.TrimRight(password, "\x00")}, nil
}

// Store keeps a secret: with the host's helper if there is one, else in the file
// (0600). It reports where.
func (c *Credentials) Store(host string, s Secret) (string, error) {
	server := serverName(host)
	if h := c.helper(server); h != "" {
		return "credential helper " + h, helperStore(h, server, s)
	}
	auth := base64.StdEncoding.EncodeToString([]byte(s.User + ":" + s.Password))
	raw, err := json.Marshal(authEntry{Auth: auth})
	if err != nil {
		return "", err
	}
	if c.conf.Auths == nil {
		c.conf.Auths = map[string]json.RawMessage{}
	}
	c.conf.Auths[server] = raw
	return c.file, c.write()
}

// Erase forgets the secret of a host. It reports whether there was one.
func (c *Credentials) Erase(host string) (bool, error) {
	server := serverName(host)
	found := false
	if h := c.helper(server); h != "" {
		s, err := helperGet(h, server)
		if err == nil && s != (Secret{}) {
			found, err = true, helperErase(h, server)
		}
		if err != nil {
			return false, err
		}
	}
	for name := range c.conf.Auths {
		if serverName(hostOf(name)) == server {
			delete(c.conf.Auths, name)
			found = true
		}
	}
	if !found {
		return false, nil
	}
	return true, c.write()
}

// write replaces the file. A symbolic link is kept and what it leads to replaced.
func (c *Credentials) write() error {
	auths, err := json.Marshal(c.conf.Auths)
	if err != nil {
		return err
	}
	c.rest["auths"] = auths
	data, err := json.MarshalIndent(c.rest, "", "\t")
	if err != nil {
		return err
	}
	name := c.file
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("cannot store credentials: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".config.json-") // 0600
	if err != nil {
		return fmt.Errorf("cannot store credentials: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(data, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cannot store credentials: %w", err)
	}
	return os.Rename(f.Name(), name)
}

// serverName is what a host is called in config.json.
func serverName(host string) string {
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return hubServer
	}
	return host
}

// hostOf takes the host out of an old entry, which is a whole address.
func hostOf(name string) string {
	for _, scheme := range []string{"https://", "http://"} {
		name = strings.TrimPrefix(name, scheme)
	}
	host, _, _ := strings.Cut(name, "/")
	return host
}
