package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrNotFound is returned for what the registry does not have.
var ErrNotFound = errdefs.ErrNotFound

// Client pulls from and pushes to registries. It may be used by many goroutines.
type Client struct {
	settings    Settings
	agent       string
	credentials func(host string) (Secret, error)

	mu    sync.Mutex
	known map[string][]docker.RegistryHost
}

// New makes a client; version stands in its User-Agent, credentials are looked up
// only when a registry asks for some.
func New(s Settings, version string, credentials func(host string) (Secret, error)) *Client {
	return &Client{settings: s, agent: "stack/" + version, credentials: credentials, known: map[string][]docker.RegistryHost{}}
}

func (c *Client) resolver() remotes.Resolver {
	return docker.NewResolver(docker.ResolverOptions{Hosts: c.hosts})
}

// Resolve asks what a complete reference (HOST/PATH:TAG or …@DIGEST) means now.
// Errors: ErrNotFound.
func (c *Client) Resolve(ctx context.Context, ref string) (v1.Descriptor, error) {
	var d v1.Descriptor
	err := retry(ctx, func() error {
		var err error
		_, d, err = c.resolver().Resolve(ctx, ref)
		return err
	})
	if err != nil {
		return d, clean("cannot look up "+ref, err)
	}
	return d, d.Digest.Validate()
}

// Fetch reads a blob or manifest of the reference's repository from offset on. A
// transfer that breaks off goes on by itself. Nothing is verified.
func (c *Client) Fetch(ctx context.Context, ref string, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	fetcher, err := c.resolver().Fetcher(ctx, ref)
	if err != nil {
		return nil, clean("cannot fetch from "+ref, err)
	}
	d.URLs = nil // an image has no business to send us to other addresses
	ctx, cancel := context.WithCancel(ctx)
	return &resumer{ctx: ctx, cancel: cancel, at: offset, size: d.Size, open: func(ctx context.Context, at int64) (io.ReadCloser, error) {
		body, err := fetcher.Fetch(ctx, d)
		if err != nil {
			return nil, err
		}
		if _, err := body.(io.Seeker).Seek(at, io.SeekStart); err != nil {
			body.Close()
			return nil, err
		}
		return body, nil
	}}, nil
}

// Push uploads a blob or manifest under the reference unless it is there already;
// it reports whether anything had to be sent. open gives the content, anew for
// each attempt. from names repositories of the same registry that may have the
// blob, to be had without sending it.
func (c *Client) Push(ctx context.Context, ref string, d v1.Descriptor, from []string, open func() (io.ReadCloser, error)) (bool, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return false, err
	}
	if len(from) > 0 {
		host := &url.URL{Host: reference.Domain(named)}
		d.Annotations = map[string]string{"containerd.io/distribution.source." + host.Hostname(): strings.Join(from, ",")}
	}
	sent := false
	err = retry(ctx, func() error {
		err := c.push(ctx, ref, d, open)
		sent = err == nil
		if errdefs.IsAlreadyExists(err) {
			err = nil
		}
		return err
	})
	if err != nil {
		return false, clean("cannot push to "+ref, err)
	}
	return sent, nil
}

func (c *Client) push(ctx context.Context, ref string, d v1.Descriptor, open func() (io.ReadCloser, error)) error {
	pusher, err := c.resolver().Pusher(ctx, ref)
	if err != nil {
		return err
	}
	w, err := pusher.Push(ctx, d)
	if err != nil {
		return err
	}
	defer w.Close()
	body, err := open()
	if err != nil {
		return permanent{err}
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil && !errors.Is(err, io.EOF) {
		return uploadError(ctx, w, err)
	}
	return w.Commit(ctx, d.Size, d.Digest)
}

// uploadError prefers the registry's own words over those of a closed pipe.
func uploadError(ctx context.Context, w content.Writer, err error) error {
	if errors.Is(err, io.ErrClosedPipe) && ctx.Err() == nil {
		if cause := w.Commit(ctx, 0, ""); cause != nil {
			return cause
		}
	}
	return err
}

// Login sees whether a registry lets a secret in.
func Login(ctx context.Context, s Settings, version, host string, secret Secret) error {
	c := New(s, version, func(string) (Secret, error) { return secret, nil })
	hosts, err := c.hosts(host)
	if err != nil {
		return err
	}
	if err := ping(ctx, hosts[len(hosts)-1]); err != nil {
		return clean("cannot log in to "+host, err)
	}
	return nil
}

func clean(what string, err error) error { return fmt.Errorf("%s: %w", what, redact(err)) }
