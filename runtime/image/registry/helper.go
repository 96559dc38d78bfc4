package registry

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// tokenUser is the user name with which helpers hand out refresh tokens.
const tokenUser = "<token>"

// helperSecret is what helpers read and write; see docker/docker-credential-helpers.
type helperSecret struct{ ServerURL, Username, Secret string }

// helper names the program docker-credential-NAME that keeps a server's secret.
func (c *Credentials) helper(server string) string {
	if h, ok := c.conf.CredHelpers[server]; ok {
		return h
	}
	if server == hubServer {
		if h, ok := c.conf.CredHelpers["docker.io"]; ok {
			return h
		}
	}
	return c.conf.CredsStore
}

func helperGet(helper, server string) (Secret, error) {
	out, err := runHelper(helper, "get", server)
	if err != nil {
		if strings.Contains(err.Error(), "credentials not found") {
			return Secret{}, nil
		}
		return Secret{}, err
	}
	var s helperSecret
	if json.Unmarshal(out, &s) != nil {
		return Secret{}, fmt.Errorf("credential helper %s gave no JSON", helper)
	}
	if s.Username == tokenUser {
		s.Username = ""
	}
	return Secret{s.Username, s.Secret}, nil
}

func helperStore(helper, server string, s Secret) error {
	in, err := json.Marshal(helperSecret{server, cmp.Or(s.User, tokenUser), s.Password})
	if err != nil {
		return err
	}
	_, err = runHelper(helper, "store", string(in))
	return err
}

func helperErase(helper, server string) error {
	_, err := runHelper(helper, "erase", server)
	return err
}

// runHelper runs docker-credential-HELPER. Helpers write their complaints to
// standard output; only those of a failed "get", which has no secret, are passed on.
func runHelper(helper, action, input string) ([]byte, error) {
	if strings.ContainsRune(helper, '/') {
		return nil, fmt.Errorf("the credential helper %q is not a plain name", helper)
	}
	cmd := exec.Command("docker-credential-"+helper, action)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("config.json names the credential helper %s, but there is no program docker-credential-%s", helper, helper)
	}
	said := ""
	if action == "get" {
		said = string(bytes.TrimSpace(out))
	}
	return nil, fmt.Errorf("credential helper %s failed to %s: %w: %s", helper, action, err, said)
}
