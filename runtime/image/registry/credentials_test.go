package registry

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func load(t *testing.T, file string) *Credentials {
	t.Helper()
	c, err := LoadCredentials(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLookup(t *testing.T) {
	c := load(t, writeConfig(t, `{"auths": {
		"https://index.docker.io/v1/": {"auth": "aHViOnB3"},
		"reg.example:5000": {"auth": "bWU6YTpi"},
		"https://old.example/v1/": {"username": "u", "password": "p"},
		"token.example": {"auth": "eDp5", "identitytoken": "tok"}}}`))
	for host, want := range map[string]Secret{
		"docker.io": {"hub", "pw"}, "registry-1.docker.io": {"hub", "pw"},
		"reg.example:5000": {"me", "a:b"}, "old.example": {"u", "p"},
		"token.example": {"", "tok"}, "reg.example": {}, "none.example": {},
	} {
		if got, err := c.Lookup(host); err != nil || got != want {
			t.Errorf("%s: %v %v", host, got, err)
		}
	}
}

// TestMalformed: what is wrong is told without the words of the file.
func TestMalformed(t *testing.T) {
	if _, err := LoadCredentials(writeConfig(t, `{"auths": hunter2`)); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	c := load(t, writeConfig(t, `{"auths": {"a.example": {"auth": "hunter2"}}}`))
	if _, err := c.Lookup("a.example"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

// TestStoreKeepsTheRest: other keys of Docker's file stay, nobody else may read it.
func TestStoreKeepsTheRest(t *testing.T) {
	file := writeConfig(t, `{"auths": {"a.example": {"auth": "YTpi"}}, "proxies": {"default": {"httpProxy": "x"}}, "detachKeys": "ctrl-x"}`)
	c := load(t, file)
	if where, err := c.Store("docker.io", Secret{"me", "secret"}); err != nil || where != file {
		t.Fatalf("%s %v", where, err)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	var m map[string]json.RawMessage
	data, _ := os.ReadFile(file)
	if err := json.Unmarshal(data, &m); err != nil || m["proxies"] == nil || m["detachKeys"] == nil {
		t.Errorf("%s %v", data, err)
	}
	again := load(t, file)
	for host, want := range map[string]Secret{"docker.io": {"me", "secret"}, "a.example": {"a", "b"}} {
		if got, _ := again.Lookup(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
	if found, err := again.Erase("docker.io"); !found || err != nil {
		t.Errorf("%v %v", found, err)
	}
	if got, _ := load(t, file).Lookup("docker.io"); got != (Secret{}) {
		t.Errorf("still %v", got)
	}
	if found, err := again.Erase("docker.io"); found || err != nil {
		t.Errorf("%v %v", found, err)
	}
}

func TestStoreKeepsLinks(t *testing.T) {
	real := writeConfig(t, "")
	link := filepath.Join(t.TempDir(), "config.json")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, link).Store("a.example", Secret{"u", "p"}); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Lstat(link); info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if got, _ := load(t, real).Lookup("a.example"); got != (Secret{"u", "p"}) {
		t.Errorf("%v", got)
	}
}

// TestHelper speaks with a credential helper that keeps secrets in files.
func TestHelper(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("KEEP", dir)
	script := `#!/bin/sh
f=$KEEP/kept
case $1 in
store) cat >$f ;;
get) read -r s; grep -q "$s" $f 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; }; cat $f ;;
erase) rm $f ;;
esac
`
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-files"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	file := writeConfig(t, `{"credHelpers": {"h.example": "files"}}`)
	c := load(t, file)
	if got, err := c.Lookup("h.example"); got != (Secret{}) || err != nil {
		t.Errorf("%v %v", got, err)
	}
	if where, err := c.Store("h.example", Secret{"me", "pw"}); err != nil || where != "credential helper files" {
		t.Errorf("%s %v", where, err)
	}
	if data, _ := os.ReadFile(file); strings.Contains(string(data), "auths") {
		t.Errorf("the file has it too: %s", data)
	}
	if got, err := c.Lookup("h.example"); got != (Secret{"me", "pw"}) || err != nil {
		t.Errorf("%v %v", got, err)
	}
	if found, err := c.Erase("h.example"); !found || err != nil {
		t.Errorf("%v %v", found, err)
	}
	if got, err := c.Lookup("h.example"); got != (Secret{}) || err != nil {
		t.Errorf("%v %v", got, err)
	}
	missing := load(t, writeConfig(t, `{"credsStore": "absent"}`))
	if _, err := missing.Lookup("x.example"); err == nil || !strings.Contains(err.Error(), "docker-credential-absent") {
		t.Errorf("%v", err)
	}
	escape := load(t, writeConfig(t, `{"credsStore": "../../x"}`))
	if _, err := escape.Lookup("x.example"); err == nil || !strings.Contains(err.Error(), "plain name") {
		t.Errorf("%v", err)
	}
}

func TestSettings(t *testing.T) {
	s, err := LoadSettings(filepath.Join(t.TempDir(), "none"))
	if err != nil || len(s.Certs) != 2 {
		t.Errorf("%+v %v", s, err)
	}
	for text, want := range map[string]string{
		`{"mirors": {}}`: "unknown field",
		`{"mirrors": {"docker.io": ["ftp://x"]}}`:      "not an http",
		`{"mirrors": {"docker.io": ["https://u:p@"]}}`: "not an http",
	} {
		if _, err := LoadSettings(writeConfig(t, text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
