package scheduler

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// RunOptions are what `run` changes about a service for one container.
type RunOptions struct {
	Name string `json:",omitempty"` // of the container
	// Command replaces the service's when not nil, Entrypoint likewise; an
	// entrypoint without a command clears the command.
	Command    []string `json:",omitempty"`
	Entrypoint []string `json:",omitempty"`
	// Env is laid over the service's environment; a nil value unsets.
	Env        map[string]*string `json:",omitempty"`
	User       string             `json:",omitempty"`
	WorkingDir string             `json:",omitempty"`
	TTY        bool               `json:",omitempty"`
	Stdin      bool               `json:",omitempty"`
	// Volumes are added; one at the target of another replaces it.
	Volumes []types.ServiceVolumeConfig `json:",omitempty"`
	// Publish are the ports to publish; ServicePorts publishes the service's too.
	Publish      []types.ServicePortConfig `json:",omitempty"`
	ServicePorts bool                      `json:",omitempty"`
	Labels       map[string]string         `json:",omitempty"`
	CapAdd       []string                  `json:",omitempty"`
	CapDrop      []string                  `json:",omitempty"`
	// UseAliases gives the container the service's names on its networks.
	UseAliases bool `json:",omitempty"`
	// Attach holds the program until a client is attached to its streams.
	Attach bool `json:",omitempty"`
	// Remove deletes the container once it ended (--rm).
	Remove bool `json:",omitempty"`
}

// Apply returns the service as one `run` sees it. It publishes nothing, is known
// on networks by its own name only, has no fixed address and is not restarted,
// unless the options say otherwise. s is not changed.
func (o RunOptions) Apply(s types.ServiceConfig) types.ServiceConfig {
	s.ContainerName = o.Name
	s.Tty, s.StdinOpen = o.TTY, o.Stdin
	s.Restart, s.Scale = types.RestartPolicyNo, new(1)
	if s.Deploy != nil {
		d := *s.Deploy
		d.RestartPolicy, d.Replicas = nil, new(1)
		s.Deploy = &d
	}
	o.command(&s)
	if o.User != "" {
		s.User = o.User
	}
	if o.WorkingDir != "" {
		s.WorkingDir = o.WorkingDir
	}
	if s.Environment = maps.Clone(s.Environment); s.Environment == nil {
		s.Environment = types.MappingWithEquals{}
	}
	maps.Copy(s.Environment, o.Env)
	if s.Labels = maps.Clone(s.Labels); s.Labels == nil {
		s.Labels = types.Labels{}
	}
	maps.Copy(s.Labels, o.Labels)
	o.capabilities(&s)
	o.mounts(&s)
	o.network(&s)
	return s
}

func (o RunOptions) command(s *types.ServiceConfig) {
	if o.Entrypoint != nil {
		s.Entrypoint = o.Entrypoint
		s.Command = types.ShellCommand{}
	}
	if len(o.Command) > 0 {
		s.Command = o.Command
	}
}

// capabilities lets the command line win over the file.
func (o RunOptions) capabilities(s *types.ServiceConfig) {
	without := func(list, out []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(c string) bool { return slices.Contains(out, c) })
	}
	s.CapAdd = append(without(s.CapAdd, o.CapDrop), o.CapAdd...)
	s.CapDrop = append(without(s.CapDrop, o.CapAdd), o.CapDrop...)
}

func (o RunOptions) mounts(s *types.ServiceConfig) {
	replaced := func(target string) bool {
		return slices.ContainsFunc(o.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == target })
	}
	s.Volumes = slices.DeleteFunc(slices.Clone(s.Volumes), func(v types.ServiceVolumeConfig) bool { return replaced(v.Target) })
	s.Volumes = append(s.Volumes, o.Volumes...)
	s.Tmpfs = slices.DeleteFunc(slices.Clone(s.Tmpfs), func(text string) bool { return replaced(tmpfsMount(text).Target) })
}

func (o RunOptions) network(s *types.ServiceConfig) {
	ports := slices.Clone(o.Publish)
	if o.ServicePorts {
		ports = append(slices.Clone(s.Ports), ports...)
	}
	s.Ports = ports
	s.MacAddress = ""
	networks := map[string]*types.ServiceNetworkConfig{}
	for key, n := range s.Networks {
		var own types.ServiceNetworkConfig
		if n != nil {
			own = *n
		}
		own.Ipv4Address, own.Ipv6Address, own.MacAddress = "", "", ""
		if !o.UseAliases {
			own.Aliases, own.UseServiceNameAlias = nil, new(false)
		}
		networks[key] = &own
	}
	s.Networks = networks
}
