package scheduler

import (
	"maps"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ExecOptions are what `exec` changes about the container's own program.
type ExecOptions struct {
	Args       []string
	WorkingDir string
	// Env is laid over the program's environment.
	Env map[string]string
	// User is who to run as, when not as the program does; Home, unless empty, is
	// that user's.
	User       *specs.User
	Home       string
	Privileged bool
	// Terminal gives the process a terminal of that size (0: unknown).
	Terminal      bool
	Rows, Columns uint16
}

// ExecProcess returns the process of an exec in a container.
func (s *Store) ExecProcess(id string, o ExecOptions) (*specs.Process, error) {
	p, err := s.LoadProcess(id)
	if err != nil {
		return nil, err
	}
	p.Args, p.Terminal, p.ConsoleSize = o.Args, o.Terminal, nil
	env := envList(p.Env)
	if o.Terminal {
		env.set("TERM", "xterm")
		if o.Rows > 0 && o.Columns > 0 {
			p.ConsoleSize = &specs.Box{Height: uint(o.Rows), Width: uint(o.Columns)}
		}
	}
	if o.WorkingDir != "" {
		p.Cwd = o.WorkingDir
	}
	if o.User != nil {
		p.User = *o.User
	}
	if o.Home != "" {
		env.set("HOME", o.Home)
	}
	for _, k := range slices.Sorted(maps.Keys(o.Env)) {
		env.set(k, o.Env[k])
	}
	p.Env = env
	if o.Privileged {
		all := allCapabilities()
		p.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
		p.NoNewPrivileges = false
	}
	return p, nil
}
