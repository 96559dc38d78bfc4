package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"stack/netns"
)

// replicaIn is an instance that publishes port 80 of service web.
func replicaIn(id string, state InstanceState, h Health) *Instance {
	return &Instance{ID: id, Service: "web", State: state, Health: h, Ports: []netns.Port{
		{Container: id, Service: "web", Protocol: "tcp", HostPort: 80, Target: 8080},
	}}
}

func TestFittest(t *testing.T) {
	in := func(states ...string) (all []*Instance, opening map[string]bool) {
		opening = map[string]bool{}
		for n, s := range states {
			state, health, _ := strings.Cut(s, " ")
			id := fmt.Sprint(n)
			if state == "opening" {
				state, opening[id] = "created", true
			}
			all = append(all, replicaIn(id, InstanceState(state), Health(health)))
		}
		return all, opening
	}
	for _, c := range []struct {
		states []string
		want   string // who takes new connections; those that rest
	}{
		{[]string{"running", "running healthy", "running none"}, "0 1 2;"},
		{[]string{"running healthy", "running unhealthy", "running starting"}, "0;1 2"},
		{[]string{"running healthy", "stopping", "paused"}, "0;1 2"},
		{[]string{"running", "opening"}, "0;1"},
		// The only one is served whatever its health.
		{[]string{"running starting"}, "0;"},
		{[]string{"running unhealthy"}, "0;"},
		{[]string{"paused"}, "0;"},
		{[]string{"opening"}, "0;"},
		{[]string{"stopping"}, "0;"},
		// None of several is ready: better the ill than nobody.
		{[]string{"running starting", "running unhealthy", "stopping"}, "0 1;2"},
		// Those that don't run serve nobody.
		{[]string{"exited", "created", "restarting"}, ";"},
		{[]string{"exited", "running unhealthy"}, "1;"},
	} {
		all, opening := in(c.states...)
		var best, rest []string
		for _, p := range balancedPorts(all, opening) {
			if p.Resting {
				rest = append(rest, p.Container)
			} else {
				best = append(best, p.Container)
			}
		}
		if got := strings.Join(best, " ") + ";" + strings.Join(rest, " "); got != c.want {
			t.Errorf("%v: %q, want %q", c.states, got, c.want)
		}
	}
}

// Replicas that each publish a port of a range don't stand in for each other.
func TestPortsOfARangeAreNotBalanced(t *testing.T) {
	a, b := replicaIn("a", StateRunning, HealthHealthy), replicaIn("b", StateRunning, HealthUnhealthy)
	b.Ports[0].HostPort = 81
	for _, p := range balancedPorts([]*Instance{a, b}, nil) {
		if p.Resting {
			t.Errorf("port %d of %s rests, and nobody else has it", p.HostPort, p.Container)
		}
	}
}

func TestSurplusPorts(t *testing.T) {
	one := replicaIn(strings.Repeat("a", 64), StateExited, "")
	name := portName(one.Ports[0])
	k := &heldNames{names: []string{name, "dns/udp/x", "port/" + strings.Repeat("b", 64) + "/tcp/invalid IP/9"}}
	c := &Controller{Config: Config{Keeper: k}, instances: map[string]*Instance{one.ID: one}, inFlight: map[string]Op{}, opening: map[string]bool{}}
	surplus := func(what string, want bool) {
		t.Helper()
		got := c.surplusPorts()
		if slices.Contains(got, name) != want || slices.Contains(got, "dns/udp/x") || len(got) < 1 {
			t.Errorf("%s: surplus %v", what, got)
		}
	}
	surplus("exited for good", true)
	one.State = StateRestarting
	surplus("to be restarted", false)
	one.State = StateExited
	c.plan = Plan{Ops: []Op{{Kind: OpReplace, Service: "web", Instance: one.ID}}}
	surplus("to be replaced", false)
	c.plan = Plan{}
	c.inFlight["start"] = Op{Kind: OpStart, Service: "web", Instance: "another"}
	surplus("another replica starts", false)
	delete(c.inFlight, "start")
	one.State = StateStopping
	surplus("still there", false)
	one.Ports = nil
	surplus("not published any more", true)
}

type heldNames struct {
	Keeper
	names []string
}

func (k *heldNames) Names() []string { return slices.Clone(k.names) }
