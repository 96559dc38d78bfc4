package cdi

// Edits are changes to a container's OCI configuration.
type Edits struct {
	Env            []string     `yaml:"env"` // KEY=VALUE
	DeviceNodes    []DeviceNode `yaml:"deviceNodes"`
	Mounts         []Mount      `yaml:"mounts"`
	Hooks          []Hook       `yaml:"hooks"`
	AdditionalGIDs []uint32     `yaml:"additionalGids"`
}

// DeviceNode is a node inside the container; what is not given is as on the host.
type DeviceNode struct {
	Path        string  `yaml:"path"`
	HostPath    string  `yaml:"hostPath"` // Path when empty
	Permissions string  `yaml:"permissions"`
	FileMode    *uint32 `yaml:"fileMode"`
	UID         *uint32 `yaml:"uid"`
	GID         *uint32 `yaml:"gid"`
}

// Mount is a file or directory of the host, or a file system.
type Mount struct {
	HostPath      string   `yaml:"hostPath"`
	ContainerPath string   `yaml:"containerPath"`
	Type          string   `yaml:"type"`
	Options       []string `yaml:"options"`
}

// Hook is an OCI hook.
type Hook struct {
	Name    string   `yaml:"hookName"`
	Path    string   `yaml:"path"`
	Args    []string `yaml:"args"`
	Env     []string `yaml:"env"`
	Timeout *int     `yaml:"timeout"`
}

// file is one specification.
type file struct {
	Version string   `yaml:"cdiVersion"`
	Kind    string   `yaml:"kind"`
	Devices []device `yaml:"devices"`
	Edits   Edits    `yaml:"containerEdits"` // for any of its devices
}

type device struct {
	Name  string `yaml:"name"`
	Edits Edits  `yaml:"containerEdits"`
}

func (e Edits) and(more Edits) Edits {
	return Edits{
		Env:            join(e.Env, more.Env),
		DeviceNodes:    join(e.DeviceNodes, more.DeviceNodes),
		Mounts:         join(e.Mounts, more.Mounts),
		Hooks:          join(e.Hooks, more.Hooks),
		AdditionalGIDs: join(e.AdditionalGIDs, more.AdditionalGIDs),
	}
}

func join[T any](a, b []T) []T { return append(a[:len(a):len(a)], b...) }
