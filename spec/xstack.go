package spec

import (
	"fmt"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// extensionKey is the key of everything that stack adds to the specification.
const extensionKey = "x-stack"

// XStack is x-stack of a service; the zero value when there is none.
type XStack struct {
	Bandwidth Bandwidth
	// Probe is nil when there is none.
	Probe     *Probe
	Isolation Isolation
	// KeepUnhealthy is autoheal: false. A replica that is unhealthy is not restarted.
	KeepUnhealthy bool
	// Kernel is the path of a virtual machine's kernel; "" is Debian's.
	Kernel string
	// Watch is nil when there is none.
	Watch *Watch
	// Once keeps a one-shot service that ended well from running again unchanged.
	Once bool
	// OnConfigChange is a signal for the program when contents of its configs or
	// secrets were rewritten; "" is none.
	OnConfigChange string
	// Schedule is in cron syntax; "" is none.
	Schedule string
}

// NetworkXStack is x-stack of a network; its bandwidth is for all who are on it
// together.
type NetworkXStack struct {
	Bandwidth Bandwidth
}

// Bandwidth limits traffic as the container sees it; 0 is no limit. That of a
// service holds for each interface of each replica.
type Bandwidth struct{ Ingress, Egress Rate }

// Isolation is what a replica is.
type Isolation string

const (
	IsolationContainer Isolation = "container" // also the default
	IsolationVM        Isolation = "vm"
)

// Probe asks a replica whether it is ready, from inside its network namespace.
// Exactly one of HTTP, TCP and Exec is set. A time of 0 and a number of 0 mean
// the default of health checks.
type Probe struct {
	HTTP *HTTPProbe
	TCP  uint16
	// Exec is the command and its arguments, run in the container.
	Exec []string

	Interval, Timeout, StartPeriod, StartInterval time.Duration
	Retries                                       int
}

// HTTPProbe is a GET that succeeds with a status from 200 to 399.
type HTTPProbe struct {
	Port    uint16
	Path    string // begins with "/"
	Scheme  string // "http" or "https", whose certificate is not verified
	Headers map[string]string
}

// Watch says which files of the host a service follows.
type Watch struct {
	// Auto infers the rules from builds and bind mounts; Rules is empty then.
	Auto  bool
	Rules []WatchRule
}

// WatchRule is one path that is followed and what a change of it does.
type WatchRule struct {
	// Path is relative to the project's directory. Action is one of develop.watch.
	Path, Target, Action string
	// Signal is sent instead of a restart; "" is none.
	Signal          string
	Ignore, Include []string
	InitialSync     bool
}

// ServiceExtension reads x-stack of a service. After a Load that checked it the
// error is nil.
func ServiceExtension(s types.ServiceConfig) (XStack, error) {
	x, err := readExtension(s.Extensions, extensionReader.service)
	if err != nil {
		return x, fmt.Errorf("cannot read x-stack of service %q: %w", s.Name, err)
	}
	return x, nil
}

// NetworkExtension reads x-stack of a network, likewise.
func NetworkExtension(n types.NetworkConfig) (NetworkXStack, error) {
	x, err := readExtension(n.Extensions, extensionReader.network)
	if err != nil {
		return x, fmt.Errorf("cannot read x-stack of network %q: %w", n.Name, err)
	}
	return x, nil
}

func readExtension[X any](e types.Extensions, read func(extensionReader, *value) X) (X, error) {
	r := &report{}
	x := read(extensionReader{r}, valueOf(e[extensionKey]))
	if r.list.Failed() {
		var none X
		return none, r.list
	}
	return x, nil
}

// valueOf is data, in the types that YAML gives, as a tree without places; nil
// for nil.
func valueOf(data any) *value {
	switch d := data.(type) {
	case nil:
		return nil
	case map[string]any:
		v := newMapping(place{})
		for name, member := range d {
			if child := valueOf(member); child != nil {
				v.set(name, child)
			}
		}
		return v
	case []any:
		v := &value{kind: sequence}
		for _, item := range d {
			if child := valueOf(item); child != nil {
				v.items = append(v.items, child)
			}
		}
		return v
	}
	return &value{kind: scalar, data: data}
}
