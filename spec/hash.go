package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/compose-spec/compose-go/v2/types"
)

// Hash is the sha256, in hexadecimal, of a service's configuration: what the
// label com.docker.compose.config-hash holds and `config --hash` prints. As in
// Compose it leaves out build, pull_policy, the number of replicas, depends_on
// and profiles: a change of those alone recreates nothing. Extensions (x-*) but
// x-stack.probe do not count either. The content of its configs and secrets does.
func (s *Stack) Hash(service string) (string, error) {
	config, ok := s.Services[service]
	if !ok {
		if config, ok = s.DisabledServices[service]; !ok {
			return "", fmt.Errorf("no such service: %s", service)
		}
	}
	text, err := json.Marshal(hashed(config))
	if err != nil {
		return "", fmt.Errorf("cannot hash service %q: %w", service, err)
	}
	h := sha256.New()
	h.Write(text)
	for _, o := range objectsOf(s.Project, config) {
		io.WriteString(h, "\n"+o.id+" "+s.digest(o))
	}
	x, err := ServiceExtension(config)
	if err != nil {
		return "", fmt.Errorf("cannot hash service %q: %w", service, err)
	}
	if x.Probe != nil {
		probe, err := json.Marshal(x.Probe)
		if err != nil {
			return "", fmt.Errorf("cannot hash service %q: %w", service, err)
		}
		h.Write(probe)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashed is the part of a service that the hash covers.
func hashed(c types.ServiceConfig) types.ServiceConfig {
	one := 1
	deploy := types.DeployConfig{}
	if c.Deploy != nil {
		deploy = *c.Deploy // the project stays as it is
	}
	deploy.Replicas = &one
	c.Deploy = &deploy
	c.Build = nil
	c.PullPolicy = ""
	c.Scale = nil
	c.DependsOn = nil
	c.Profiles = nil
	return c
}
