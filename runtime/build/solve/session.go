package solve

import (
	"context"
	"fmt"
	"os"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/session/secrets"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
	"google.golang.org/grpc"

	"stack/runtime/build"
	"stack/runtime/image/registry"
)

// attachables are what the server may ask of who builds: passwords, secrets, agents.
func attachables(q build.Request, m build.Machine) ([]session.Attachable, error) {
	creds, err := registry.LoadCredentials(m.Credentials)
	if err != nil {
		return nil, err
	}
	store := secretStore{}
	for _, s := range q.Secrets {
		data := s.Value
		if s.File != "" {
			if data, err = os.ReadFile(s.File); err != nil {
				return nil, fmt.Errorf("cannot read secret %q: %w", s.ID, err)
			}
		}
		if len(data) > secretsprovider.MaxSecretSize {
			return nil, fmt.Errorf("secret %q is larger than %d bytes", s.ID, secretsprovider.MaxSecretSize)
		}
		store[s.ID] = data
	}
	all := []session.Attachable{&passwords{creds: creds}, secretsprovider.NewSecretProvider(store)}
	if len(q.SSH) == 0 {
		return all, nil
	}
	var agents []sshprovider.AgentConfig
	for _, s := range q.SSH {
		agents = append(agents, sshprovider.AgentConfig{ID: s.ID, Paths: s.Paths})
	}
	agent, err := sshprovider.NewSSHAgentProvider(agents)
	if err != nil {
		return nil, fmt.Errorf("cannot forward ssh: %w", err)
	}
	return append(all, agent), nil
}

type secretStore map[string][]byte

// GetSecret implements secrets.SecretStore.
func (s secretStore) GetSecret(_ context.Context, id string) ([]byte, error) {
	data, ok := s[id]
	if !ok {
		return nil, secrets.ErrNotFound
	}
	return data, nil
}

// passwords answers for registries out of Docker's config.json. Tokens are the
// server's to fetch.
type passwords struct {
	auth.UnimplementedAuthServer
	creds *registry.Credentials
}

// Register implements session.Attachable.
func (p *passwords) Register(s *grpc.Server) { auth.RegisterAuthServer(s, p) }

// Credentials implements auth.AuthServer.
func (p *passwords) Credentials(_ context.Context, r *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	host := r.Host
	if host == "registry-1.docker.io" {
		host = "docker.io"
	}
	secret, err := p.creds.Lookup(host)
	if err != nil {
		return nil, err
	}
	return &auth.CredentialsResponse{Username: secret.User, Secret: secret.Password}, nil
}
