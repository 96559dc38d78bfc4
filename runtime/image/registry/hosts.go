package registry

import (
	"fmt"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

const (
	pullOnly   = docker.HostCapabilityPull | docker.HostCapabilityResolve
	everything = pullOnly | docker.HostCapabilityPush
)

// Hosts is for other clients of containerd's resolver, which bring their own
// passwords: where the images of a registry are, and how it is spoken to.
func (c *Client) Hosts(name string) ([]docker.RegistryHost, error) {
	own, err := c.hosts(name)
	hosts := slices.Clone(own)
	for i := range hosts {
		hosts[i].Authorizer = nil
	}
	return hosts, err
}

// hosts lists where the images of a registry are, its mirrors first. Connections
// and tokens are kept for the Client's life.
func (c *Client) hosts(name string) ([]docker.RegistryHost, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if hosts, ok := c.known[name]; ok {
		return hosts, nil
	}
	var hosts []docker.RegistryHost
	for _, m := range c.settings.Mirrors[name] {
		u, err := mirrorURL(m)
		if err != nil {
			return nil, err
		}
		h, err := c.host(u.Scheme, u.Host, path.Join(u.Path, "/v2"), pullOnly)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, h)
	}
	address := name
	if name == "docker.io" {
		address = "registry-1.docker.io"
	}
	own, err := c.host("https", address, "/v2", everything)
	if err != nil {
		return nil, err
	}
	c.known[name] = append(hosts, own)
	return c.known[name], nil
}

func (c *Client) host(scheme, host, path string, can docker.HostCapabilities) (docker.RegistryHost, error) {
	t, err := c.settings.transport(host, isLoopback(host) || c.settings.plainHTTP(host))
	if err != nil {
		return docker.RegistryHost{}, fmt.Errorf("cannot reach registry %s: %w", host, err)
	}
	client := &http.Client{Transport: t}
	header := http.Header{"User-Agent": {c.agent}}
	return docker.RegistryHost{
		Client: client, Host: host, Scheme: scheme, Path: path, Capabilities: can, Header: header,
		Authorizer: docker.NewDockerAuthorizer(docker.WithAuthClient(client), docker.WithAuthHeader(header), docker.WithAuthCreds(c.secret)),
	}, nil
}

// isLoopback says whether host, HOST[:PORT], is this machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return docker.IsLocalhost(strings.Trim(host, "[]"))
}

// secret is asked with the host that wants to know who we are.
func (c *Client) secret(host string) (user, password string, err error) {
	s, err := c.credentials(host)
	return s.User, s.Password, err
}
