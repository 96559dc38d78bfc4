package inspect

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/scheduler"
)

// HostConfig is what ties a container to this machine.
type HostConfig struct {
	Binds          []string
	LogConfig      LogConfig
	NetworkMode    string
	PortBindings   map[string][]PortBinding
	RestartPolicy  RestartPolicy
	AutoRemove     bool
	VolumesFrom    []string
	CapAdd         []string
	CapDrop        []string
	CgroupnsMode   string
	Dns            []string
	DnsOptions     []string
	DnsSearch      []string
	ExtraHosts     []string
	GroupAdd       []string
	IpcMode        string
	OomScoreAdj    int64
	PidMode        string
	Privileged     bool
	ReadonlyRootfs bool
	SecurityOpt    []string
	Tmpfs          map[string]string `json:",omitempty"`
	UTSMode        string
	UsernsMode     string // "" is a user namespace of its own, or host
	ShmSize        int64
	Sysctls        map[string]string `json:",omitempty"`
	Runtime        string
	Init           *bool             `json:",omitempty"`
	Annotations    map[string]string `json:",omitempty"`

	CpuShares         int64
	Memory            int64
	NanoCpus          int64
	CgroupParent      string
	BlkioWeight       uint16
	CpuPeriod         int64
	CpuQuota          int64
	CpusetCpus        string
	CpusetMems        string
	Devices           []Device
	DeviceCgroupRules []string
	MemoryReservation int64
	MemorySwap        int64
	OomKillDisable    bool
	PidsLimit         *int64
	Ulimits           []Ulimit
}

// LogConfig says how output is kept.
type LogConfig struct {
	Type   string
	Config map[string]string
}

// RestartPolicy says what follows the program's end.
type RestartPolicy struct {
	Name              string
	MaximumRetryCount int
}

// PortBinding is one place on the host that leads to a port.
type PortBinding struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}

// Device is one device node of the host.
type Device struct {
	PathOnHost, PathInContainer, CgroupPermissions string
}

// Ulimit is one limit of setrlimit(2).
type Ulimit struct {
	Name       string
	Hard, Soft int64
}

// shmSize is Docker's default.
const shmSize = 64 << 20

func hostConfig(f Facts) HostConfig {
	i, s := f.Instance, f.Details.Service
	policy := scheduler.ParseRestart(s)
	h := HostConfig{
		Binds: binds(f), LogConfig: logConfig(s), NetworkMode: networkMode(f), PortBindings: bindings(i),
		RestartPolicy: RestartPolicy{policy.Condition, policy.MaxAttempts},
		AutoRemove:    i.Run != nil && i.Run.Remove, VolumesFrom: s.VolumesFrom,
		CapAdd: s.CapAdd, CapDrop: s.CapDrop, CgroupnsMode: cmp.Or(s.Cgroup, "private"),
		Dns: orEmpty(s.DNS), DnsOptions: orEmpty(s.DNSOpts), DnsSearch: orEmpty(s.DNSSearch), ExtraHosts: s.ExtraHosts.AsList(":"),
		GroupAdd: s.GroupAdd, IpcMode: cmp.Or(s.Ipc, "private"), OomScoreAdj: s.OomScoreAdj, PidMode: s.Pid,
		Privileged: s.Privileged, ReadonlyRootfs: s.ReadOnly, SecurityOpt: s.SecurityOpt, Tmpfs: tmpfs(f),
		UTSMode: s.Uts, UsernsMode: s.UserNSMode, ShmSize: cmp.Or(int64(s.ShmSize), shmSize), Sysctls: s.Sysctls,
		Runtime: cmp.Or(i.Runtime, s.Runtime, "native"), Init: s.Init, Annotations: s.Annotations,
	}
	if i.HostUserNS {
		h.UsernsMode = "host"
	}
	limits(&h, s)
	return h
}

func limits(h *HostConfig, s types.ServiceConfig) {
	l := scheduler.LimitsOf(s)
	h.Memory, h.MemorySwap, h.MemoryReservation = l.Memory, l.Swap, l.Reservation
	h.NanoCpus, h.CpuShares = int64(l.CPUs*1e9), s.CPUShares
	h.CpuPeriod, h.CpuQuota, h.CpusetCpus = s.CPUPeriod, s.CPUQuota, s.CPUSet
	h.CgroupParent, h.OomKillDisable, h.DeviceCgroupRules = s.CgroupParent, s.OomKillDisable, s.DeviceCgroupRules
	if l.Pids != 0 {
		h.PidsLimit = &l.Pids
	}
	if s.BlkioConfig != nil {
		h.BlkioWeight = s.BlkioConfig.Weight
	}
	h.Devices = []Device{}
	for _, d := range s.Devices {
		h.Devices = append(h.Devices, Device{d.Source, cmp.Or(d.Target, d.Source), cmp.Or(d.Permissions, "rwm")})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ulimits)) {
		u := s.Ulimits[name]
		if u == nil {
			continue
		}
		h.Ulimits = append(h.Ulimits, Ulimit{name, int64(cmp.Or(u.Single, u.Hard)), int64(cmp.Or(u.Single, u.Soft))})
	}
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func logConfig(s types.ServiceConfig) LogConfig {
	l := LogConfig{Type: "json-file", Config: map[string]string{}}
	if s.Logging != nil {
		l.Type = cmp.Or(s.Logging.Driver, l.Type)
		maps.Copy(l.Config, s.Logging.Options)
	}
	return l
}

// binds are mounts in the form SOURCE:TARGET:MODE.
func binds(f Facts) []string {
	out := []string{}
	for _, m := range f.Details.Mounts {
		if m.Type == types.VolumeTypeTmpfs || m.Type == types.VolumeTypeImage || m.Anonymous {
			continue
		}
		mode := "rw"
		if m.ReadOnly {
			mode = "ro"
		}
		out = append(out, m.Source+":"+m.Target+":"+mode)
	}
	return out
}

func tmpfs(f Facts) map[string]string {
	out := map[string]string{}
	for _, m := range f.Details.Mounts {
		if m.Type == types.VolumeTypeTmpfs {
			out[m.Target] = strings.Join(m.Options, ",")
		}
	}
	return out
}

func networkMode(f Facts) string {
	if mode := f.Details.Service.NetworkMode; mode != "" && mode != "bridge" && mode != "default" {
		return mode
	}
	if len(f.Details.Networks) > 0 {
		return f.Details.Networks[0]
	}
	return "none"
}

func bindings(i *scheduler.Instance) map[string][]PortBinding {
	out := map[string][]PortBinding{}
	for _, p := range i.Ports {
		host := ""
		if p.HostIP.IsValid() {
			host = p.HostIP.String()
		}
		key := fmt.Sprintf("%d/%s", p.Target, p.Protocol)
		out[key] = append(out[key], PortBinding{host, fmt.Sprint(p.HostPort)})
	}
	return out
}
