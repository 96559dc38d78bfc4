package scheduler

import (
	"fmt"
	"os"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/netns"
	"stack/runtime"
	"stack/runtime/cdi"
	"stack/runtime/image"
)

// Identity is who a container is.
type Identity struct {
	ID     string // 64 hexadecimal digits
	Name   string
	Number int
	OneOff bool
	// Hostname is used when the service names none; empty takes the short ID.
	Hostname string
}

// ShortID is the twelve digits that people see.
func (i Identity) ShortID() string { return i.ID[:min(12, len(i.ID))] }

// Peer is a running container whose namespaces another one joins.
type Peer struct {
	Pid int
	// StartTime is runtime.State's; 0 if unknown.
	StartTime uint64
	// UserNS is the ID of the container that owns the peer's user namespace, empty
	// when the peer lives in the host's. Whoever joins one of its namespaces joins
	// this one too.
	UserNS string
	// IDs is the range of that user namespace.
	IDs *IDRange
	// Shm is the peer's /dev/shm as a bind's source (see runtime.Bundle), empty
	// when it has none.
	Shm string
}

// DeviceNode is a device of the host.
type DeviceNode struct {
	Type         string // "c" or "b"
	Major, Minor int64
	Mode         os.FileMode
	UID, GID     uint32
}

// Machine is what translation must know of the host.
type Machine struct {
	CgroupV2 bool
	CPUs     int
	// Devices are the nodes below /dev by path, without terminals. It may hold
	// only those that the service names, unless the service is privileged.
	Devices map[string]DeviceNode
}

// BindOwner is who owns a bind mount's source.
type BindOwner struct {
	UID, GID uint32
	// Plain is set for a file system that cannot be mounted id-mapped.
	Plain bool
}

// TranslateInput is everything Translate looks at: it touches nothing else.
type TranslateInput struct {
	Project  *types.Project
	Service  types.ServiceConfig // for `run`, after RunOptions.Apply
	Instance Identity
	// Scale is the number of replicas wished.
	Scale int
	Image image.Image
	// ConfigHash and Version become labels.
	ConfigHash, Version string

	// User is the service's (or image's) user looked up in the image, with the
	// supplementary groups that the image gives it, and Home its home directory.
	User specs.User
	Home string
	// Groups maps the names in group_add to gids of the image.
	Groups map[string]uint32
	// IDs is the project's id range; nil runs without user namespace, as does any
	// service for which HostUserNS reports true.
	IDs *IDRange
	// UserNSBefore tells of earlier runs.
	UserNSBefore UserNSBefore
	// IDBaseBefore is the first id of the host that the last run had; 0 if unknown.
	IDBaseBefore uint32
	// Strict refuses the host's user namespace to a service that did not ask for it.
	Strict bool
	// Layer is the directory of the writable layer.
	Layer string
	// Volumes maps each volume's name to its directory on the host.
	Volumes map[string]string
	// Filesystems are the volumes that are more than such a directory.
	Filesystems map[string]VolumeSource
	// Sources are the images mounted as volumes, by reference.
	Sources map[string]image.Image
	// VolumesFrom holds the UserMounts of each container in volumes_from, by the
	// reference without its mode ("db", "container:NAME").
	VolumesFrom map[string][]UserMount
	// CDI is what the devices that vendors describe ask for; their nodes are among
	// Machine.Devices.
	CDI *cdi.Edits
	// Owners tells who owns each bind source, by path.
	Owners map[string]BindOwner
	// Real tells where each bind source, and each image that is a directory of this
	// machine, lies, without links, where that was looked at.
	Real map[string]string
	// Peers are the containers whose namespaces are joined, by reference
	// ("service:db", "container:NAME").
	Peers map[string]Peer
	// NetworkIDs maps network keys to IDs.
	NetworkIDs map[string]string
	// Secrets and Configs hold contents by their key in the project.
	Secrets, Configs map[string][]byte
	// ResolvConf is the content of /etc/resolv.conf; Hosts, for network_mode host,
	// that of the host's /etc/hosts.
	ResolvConf, Hosts []byte
	// HostGateway is what host-gateway in extra_hosts stands for.
	HostGateway string
	Machine     Machine
	// Seccomp gives the default profile for a set of capabilities, ParseSeccomp
	// one of Docker's format that security_opt holds.
	Seccomp      func(caps []string) (*specs.LinuxSeccomp, error)
	ParseSeccomp func(profile string, caps []string) (*specs.LinuxSeccomp, error)
}

// Translated is one container, ready for the runtime and the network.
type Translated struct {
	Spec  *specs.Spec
	Root  runtime.RootFS
	Files []runtime.File
	// Mounts are those that the file and the image ask for, before translation.
	Mounts    []UserMount
	Endpoints []netns.Endpoint
	Ports     []netns.Port
	Log       LogConfig
	// Labels are all labels: the image's, the service's and Compose's own.
	Labels     map[string]string
	Hostname   string
	StopSignal string // as written, "SIGTERM" by default
	StopGrace  time.Duration
	StdinOpen  bool
	// Runtime is as the service says it; see runtime.Bundle.
	Runtime string
	// UserNS says that the container has or joins a user namespace.
	UserNS bool
	// Warnings are what is not done as asked, one sentence each.
	Warnings []string
}

// Bundle is the runtime's part of t; the caller adds descriptors and callbacks.
func (t Translated) Bundle(id string) runtime.Bundle {
	return runtime.Bundle{ID: id, Spec: t.Spec, Root: t.Root, Files: t.Files, Runtime: t.Runtime}
}

// Translate turns one replica of a service into what the runtime and the network
// execute (OCI runtime-spec 1.3). It is pure.
func Translate(in TranslateInput) (Translated, error) {
	t := &translator{
		in: in, s: in.Service,
		spec: &specs.Spec{
			Version: specs.Version, Process: &specs.Process{}, Root: &specs.Root{},
			Linux: &specs.Linux{Resources: &specs.LinuxResources{}},
		},
	}
	t.out.Spec, t.out.Runtime = t.spec, t.s.Runtime
	for _, step := range []func() error{
		t.namespaces, t.process, t.security, t.sysctls, t.resources, t.blockIO, t.devices,
		t.root, t.mounts, t.vendorDevices, t.files, t.objects, t.labels, t.log, t.network, t.isolation,
	} {
		if err := step(); err != nil {
			return Translated{}, fmt.Errorf("cannot prepare container %q: %w", in.Instance.Name, err)
		}
	}
	return t.out, nil
}

// translator is one translation under way; each step fills its part of out.
type translator struct {
	in   TranslateInput
	s    types.ServiceConfig
	spec *specs.Spec
	out  Translated
	// ids is the range in force, nil without user namespace.
	ids *IDRange
}

func (t *translator) warn(format string, args ...any) {
	t.out.Warnings = append(t.out.Warnings, fmt.Sprintf(format, args...))
}

func (t *translator) network() (err error) {
	t.out.Endpoints, err = Endpoints(t.in.Project, t.s, t.in.Instance, t.in.Scale, t.in.NetworkIDs)
	if err != nil {
		return err
	}
	t.out.Ports, err = Ports(t.s, t.in.Instance)
	return err
}
