package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"stack/netns"
	"stack/runtime/build/builder"
)

// stepNetwork connects RUN steps to a bridge with a way outside, which is made for
// the first step that needs it and goes with the server.
type stepNetwork struct {
	state string
	log   *slog.Logger

	mu   sync.Mutex
	host *netns.Host
	made bool
	// left is set when a killed server's network may be there.
	left bool
}

var _ builder.Network = (*stepNetwork)(nil)

// Attach implements builder.Network.
func (n *stepNetwork) Attach(ctx context.Context, id string, pid int, outside bool) error {
	host, err := n.open(ctx, outside)
	if err != nil {
		return err
	}
	if !outside {
		return host.Loopback(ctx, pid)
	}
	_, err = host.Attach(ctx, []netns.Endpoint{{
		Container: id, Network: n.id(), IfName: "eth0", Default: true, Hostname: id[:12],
	}}, pid)
	return err
}

// project is what the network belongs to, another one for each state directory: links
// and tables are the machine's, and the server of another STACK_ROOT must not take
// them away with its own. No stack can be called so.
func (n *stepNetwork) project() string { return "_build-" + netns.NetworkID(n.state, "builds") }

func (n *stepNetwork) id() string { return netns.NetworkID(n.project(), "default") }

// open is called with the bridge needed or not.
func (n *stepNetwork) open(ctx context.Context, bridge bool) (*netns.Host, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.host == nil {
		host, err := netns.Open(netns.Options{State: n.state, Project: n.project(), Log: n.log})
		if err != nil {
			return nil, err
		}
		n.host = host
	}
	if n.made || !bridge {
		return n.host, nil
	}
	err := n.host.Apply(ctx, netns.Config{Networks: []netns.Network{{
		ID: n.id(), Name: "build steps", Project: n.project(),
		Size: 64, Masquerade: true, Isolated: true,
	}}})
	if err != nil {
		return nil, fmt.Errorf("cannot make the network of RUN steps: %w", err)
	}
	n.made = true
	return n.host, nil
}

// Detach implements builder.Network.
func (n *stepNetwork) Detach(ctx context.Context, id string) error {
	n.mu.Lock()
	host, made := n.host, n.made || n.left
	n.mu.Unlock()
	if !made {
		return nil
	}
	return host.Detach(ctx, id)
}

// inherit looks for the network of a killed server.
func (n *stepNetwork) inherit(ctx context.Context) error {
	host, err := n.open(ctx, false)
	if err != nil {
		return err
	}
	all, err := host.List()
	n.left = slices.ContainsFunc(all, func(o netns.Network) bool { return o.Project == n.project() })
	return err
}

// close removes the network. What a killed server left goes with the next one's.
func (n *stepNetwork) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.host == nil {
		return
	}
	var err error
	if n.made || n.left {
		err = n.host.Remove(context.Background())
	}
	if err = errors.Join(err, n.host.Close()); err != nil {
		n.log.Warn("cannot remove the network of RUN steps", "error", err)
	}
}
