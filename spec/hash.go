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
// and profiles: a change of those alone recreates nothing. Neither does one of
// develop, which is about files, nor extensions (x-*) but x-stack.probe. The content
// of its configs and secrets counts.
func (s *Stack) Hash(service string) (string, error) {
	config, err := s.service(service)
	if err != nil {
		return "", err
	}
	x, err := ServiceExtension(config)
	if err != nil {
		return "", fmt.Errorf("cannot hash service %q: %w", service, err)
	}
	var probe []byte
	if x.Probe != nil {
		if probe, err = json.Marshal(x.Probe); err != nil {
			return "", fmt.Errorf("cannot hash service %q: %w", service, err)
		}
	}
	return s.hash(hashed(config), probe)
}

// RecreateHash is Hash without what a running container can be given: limits of
// processor, memory, processes and block devices, published ports, labels, health check, restart
// policy, stop settings, the hooks inside it, how it is deployed, and the contents
// of its configs and secrets.
func (s *Stack) RecreateHash(name string) (string, error) {
	config, err := s.service(name)
	if err != nil {
		return "", err
	}
	x, err := ServiceExtension(config)
	if err != nil {
		return "", fmt.Errorf("cannot hash service %q: %w", name, err)
	}
	if x.Once {
		return s.Hash(name) // whatever changes runs it again
	}
	part := fixed(hashed(config))
	if x.Isolation == IsolationVM {
		part = fixedMachine(hashed(config))
	}
	if config.Runtime == "" && x.Isolation != IsolationVM {
		return s.plainHash(part, nil, nil)
	}
	return s.hash(part, nil) // what others run is not rewritten
}

func (s *Stack) service(name string) (types.ServiceConfig, error) {
	config, ok := s.Services[name]
	if !ok {
		if config, ok = s.DisabledServices[name]; !ok {
			return config, s.NoService(name)
		}
	}
	return config, nil
}

// hash covers config, the contents that it refers to, and more.
func (s *Stack) hash(config types.ServiceConfig, more []byte) (string, error) {
	return s.plainHash(config, objectsOf(s.Project, config), more)
}

// plainHash covers the contents of objects alone.
func (s *Stack) plainHash(config types.ServiceConfig, objects []object, more []byte) (string, error) {
	text, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("cannot hash service %q: %w", config.Name, err)
	}
	h := sha256.New()
	h.Write(text)
	for _, o := range objects {
		io.WriteString(h, "\n"+o.id+" "+s.digest(o))
	}
	h.Write(more)
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
	c.Build, c.Develop = nil, nil
	c.PullPolicy = ""
	c.Scale = nil
	c.DependsOn = nil
	c.Profiles = nil
	return c
}

// fixed is the part of a service that a container keeps for its life.
func fixed(c types.ServiceConfig) types.ServiceConfig {
	c.CPUS, c.CPUShares, c.CPUPeriod, c.CPUQuota = 0, 0, 0, 0
	c.MemLimit, c.MemReservation, c.MemSwapLimit, c.PidsLimit = 0, 0, 0, 0
	if c.CPUSet != "" {
		c.CPUSet = "some" // it can be changed, not taken away
	}
	c.BlkioConfig = fixedBlkio(c.BlkioConfig)
	c.Ports, c.Expose = nil, nil
	c.Labels, c.LabelFiles = nil, nil
	c.HealthCheck = nil
	c.Restart = ""
	c.StopSignal, c.StopGracePeriod = "", nil
	c.PostStart, c.PreStop = nil, nil
	c.Deploy, c.Attach = nil, nil
	return c
}

// fixedMachine is that of a virtual machine, whose size does not change.
func fixedMachine(c types.ServiceConfig) types.ServiceConfig {
	out := fixed(c)
	out.CPUS, out.CPUPeriod, out.CPUQuota = c.CPUS, c.CPUPeriod, c.CPUQuota
	out.MemLimit, out.PidsLimit = c.MemLimit, c.PidsLimit
	if c.Deploy != nil && c.Deploy.Resources.Limits != nil {
		out.Deploy = &types.DeployConfig{Resources: types.Resources{Limits: c.Deploy.Resources.Limits}}
	}
	return out
}

// fixedBlkio: weights can be changed, not taken away; rates also that.
func fixedBlkio(b *types.BlkioConfig) *types.BlkioConfig {
	if b == nil || b.Weight == 0 && len(b.WeightDevice) == 0 {
		return nil
	}
	out := &types.BlkioConfig{Weight: min(b.Weight, 1)}
	for _, d := range b.WeightDevice {
		d.Weight = 1
		out.WeightDevice = append(out.WeightDevice, d)
	}
	return out
}
