package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"stack/netns"
	"stack/runtime"
)

// madeNetwork is a network that the project uses, in projects/PROJECT/networks.json
// (version 1): what Apply must go on keeping when the wish no longer names it but
// a container still lives on it.
type madeNetwork struct {
	ID, Name, Hash string
	External       bool `json:",omitempty"`
}

type networkFile struct {
	Version  int
	Networks map[string]madeNetwork // by key
}

func (s *Store) networksPath() string { return filepath.Join(s.dir(), "networks.json") }

func (s *Store) loadNetworks() (map[string]madeNetwork, error) {
	f := networkFile{Networks: map[string]madeNetwork{}}
	err := readJSON(s.networksPath(), &f)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return f.Networks, err
}

func (s *Store) saveNetworks(m map[string]madeNetwork) error {
	return writeJSON(s.networksPath(), networkFile{Version: 1, Networks: m})
}

// seenNetworks are the networks that the kernel has, by key. One that is being
// made is not there yet, one that is being altered not yet as wished: whoever
// needs it waits.
func (c *Controller) seenNetworks() map[string]string {
	seen := map[string]string{}
	for key, n := range c.made {
		if _, making := c.inFlight[string(OpNetwork)+" "+n.Name]; making {
			continue
		}
		seen[key] = n.Hash
		if _, altering := c.inFlight[string(OpNetworkAlter)+" "+n.Name]; altering {
			seen[key] = ""
		}
	}
	return seen
}

// networkIDs maps network keys to IDs for those that exist.
func (c *Controller) networkIDs() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := map[string]string{}
	for key, n := range c.made {
		ids[key] = n.ID
	}
	return ids
}

// makeNetworks performs the operations on networks.
func (c *Controller) makeNetworks(ctx context.Context, op Op) error {
	key, o := c.networkNamed(op.Target)
	if op.Kind == OpNetworkRemove && c.inhabited(key) {
		c.leave("network", op.Target)
		return nil
	}
	words := [2]string{"Creating", "Created"}
	if op.Kind == OpNetworkRemove {
		words = [2]string{"Removing", "Removed"}
	}
	if !o.External {
		c.emit(Event{Type: "network", Name: op.Target, Progress: words[0]})
	}
	if err := c.changeNetwork(ctx, op, key, o); err != nil {
		return err
	}
	if !o.External {
		c.emit(Event{Type: "network", Action: map[bool]string{true: "destroy", false: "create"}[op.Kind == OpNetworkRemove], Name: op.Target, Progress: words[1]})
	}
	return nil
}

func (c *Controller) changeNetwork(ctx context.Context, op Op, key string, o Object) error {
	if op.Kind == OpNetworkRemove {
		return c.setNetwork(ctx, key, nil)
	}
	n := madeNetwork{ID: netns.NetworkID(c.Store.Project, key), Name: o.Name, Hash: o.Hash, External: o.External}
	if o.External {
		found, ok, err := c.Network.Lookup(o.Name)
		switch {
		case err != nil:
			return err
		case !ok:
			return fmt.Errorf("network %s declared as external, but could not be found; make it with: stack network create %s", o.Name, o.Name)
		}
		n.ID = found.ID
	}
	if op.Kind == OpNetworkAlter {
		return c.alterNetwork(ctx, key, n)
	}
	return c.setNetwork(ctx, key, &n)
}

// alterNetwork replaces a network under its containers: they keep running, and
// their interfaces are plugged into the new bridge.
func (c *Controller) alterNetwork(ctx context.Context, key string, n madeNetwork) error {
	live := c.liveOn(n.ID)
	for _, i := range live {
		if err := c.Network.Detach(ctx, i.ID); err != nil {
			return err
		}
	}
	if err := c.setNetwork(ctx, key, nil); err != nil {
		return err
	}
	if err := c.setNetwork(ctx, key, &n); err != nil {
		return err
	}
	for _, i := range live {
		st, err := c.Runtime.State(ctx, i.ID)
		if errors.Is(err, runtime.ErrNotFound) || err == nil && st.Pid == 0 {
			continue
		}
		if err != nil {
			return err
		}
		endpoints, err := c.endpoints(&i)
		if err != nil {
			return err
		}
		if _, err := c.Network.Attach(ctx, endpoints, st.Pid); err != nil {
			return err
		}
		c.update(i.ID, func(i *Instance) { i.Endpoints = endpoints })
	}
	return c.network.Do(ctx)
}

// endpoints computes an instance's interfaces anew.
func (c *Controller) endpoints(i *Instance) ([]netns.Endpoint, error) {
	ids, scale := c.networkIDs(), max(1, c.wishOf(i.Service).Scale)
	c.mu.Lock()
	stack, svc := c.want.Stack.Project, c.serviceOf(i)
	c.mu.Unlock()
	return Endpoints(stack, svc, i.identity(), scale, ids)
}

func (c *Controller) liveOn(network string) []Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Instance
	for _, i := range c.instances {
		if i.live() && slices.ContainsFunc(i.Endpoints, func(e netns.Endpoint) bool { return e.Network == network }) {
			out = append(out, *i)
		}
	}
	return out
}

// setNetwork records a network (nil: none) under key and makes the kernel agree.
func (c *Controller) setNetwork(ctx context.Context, key string, n *madeNetwork) error {
	c.mu.Lock()
	before, had := c.made[key]
	if n != nil {
		c.made[key] = *n
	} else {
		delete(c.made, key)
	}
	c.mu.Unlock()
	err := c.network.Do(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		return c.Store.saveNetworks(c.made) // of now: others change theirs at the same time
	}
	if delete(c.made, key); had {
		c.made[key] = before
	}
	return err
}

// networkNamed finds the key and declaration of a network by its name.
func (c *Controller) networkNamed(name string) (string, Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, o := range c.want.Networks {
		if o.Name == name {
			return key, o
		}
	}
	for key, n := range c.made {
		if n.Name == name {
			return key, Object{Key: key, Name: name, Hash: n.Hash, External: n.External}
		}
	}
	return "", Object{}
}

// applyNetwork tells package netns all that the project wants of the kernel.
func (c *Controller) applyNetwork(ctx context.Context) error {
	c.applying.Lock()
	defer c.applying.Unlock()
	cfg, err := c.networkConfig()
	if err != nil {
		return err
	}
	lost := c.lostMeanwhile(ctx)
	if err := c.Network.Apply(ctx, cfg); err != nil {
		return err
	}
	c.wrote(cfg)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tellFaults(lost, nil)
	return nil
}

func (c *Controller) networkConfig() (netns.Config, error) {
	ids := c.networkIDs()
	c.mu.Lock()
	defer c.mu.Unlock()
	all, err := Networks(c.want.Stack.Project, withAll(ids, c.want.Stack.Networks, c.Store.Project), func(s string) int { return c.want.Services[s].Scale })
	if err != nil {
		return netns.Config{}, err
	}
	_, limits, err := bandwidthOf(c.want.Stack.Project)
	if err != nil {
		return netns.Config{}, err
	}
	cfg := c.balanceConfig()
	for n, e := range cfg.Endpoints {
		cfg.Endpoints[n].Bandwidth = limits[c.instances[e.Container].Service]
	}
	known := map[string]bool{}
	for _, n := range all {
		for _, made := range c.made {
			if made.ID == n.ID || made.External && made.Name == n.Name {
				n.ID = made.ID
				cfg.Networks = append(cfg.Networks, n)
				known[n.ID] = true
			}
		}
	}
	for _, made := range c.made {
		if !known[made.ID] { // no longer declared, but not removed yet
			if n, ok, err := c.Network.Lookup(made.Name); err == nil && ok {
				cfg.Networks = append(cfg.Networks, n)
			}
		}
	}
	return cfg, nil
}

// withAll completes ids for networks that are declared but not made.
func withAll[N any](ids map[string]string, declared map[string]N, project string) map[string]string {
	ids = maps.Clone(ids)
	for key := range declared {
		if ids[key] == "" {
			ids[key] = netns.NetworkID(project, key)
		}
	}
	return ids
}

// withdraw takes a container that does not run off the volumes and the network: its ports, their
// reservations, its interfaces and its resolver.
func (c *Controller) withdraw(ctx context.Context, i *Instance) {
	c.letVolumes(i)
	c.mu.Lock()
	plugged := c.plugged[i.ID]
	delete(c.plugged, i.ID)
	delete(c.opening, i.ID)
	parked := plugged && c.parks()
	if parked {
		c.parked = append(c.parked, i.ID)
	}
	c.mu.Unlock()
	if !plugged {
		return
	}
	var errs []error
	if len(i.Ports) > 0 && !parked {
		errs = append(errs, c.balance.write.Do(ctx))
	}
	if !parked {
		errs = append(errs, c.Network.Detach(ctx, i.ID))
	}
	errs = append(errs, c.letGo(ctx, i.ID))
	if len(i.Ports) > 0 {
		errs = append(errs, c.releasePorts(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		c.Log.Warn("cannot take container off the network", "container", i.Name, "error", err)
	}
}
