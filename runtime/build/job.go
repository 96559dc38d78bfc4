package build

import (
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Version is that of the Job's format and of the server's protocol.
const Version = 1

// Exporter is what BuildKit's API calls our image store.
const Exporter = "stack"

// AttrAttested is the exporter's attribute for images with attestations.
const AttrAttested = "attested"

// Machine says where a build finds things.
type Machine struct {
	// Run and Lib are directories of sockets and of state, as scheduler.Layout has.
	Run, Lib string
	// Images is the image store's directory, Networks that of the host's networks.
	Images, Networks string
	// Settings is the file of the registries' settings, Credentials Docker's
	// config.json of who builds.
	Settings, Credentials string
	// IDs is the range of the user namespace that RUN steps have.
	IDs specs.LinuxIDMapping
	// Idle is how long a server without clients stays; zero is IdleTime.
	Idle time.Duration
	// Program is the version of stack, for registries.
	Program string
}

// IdleTime lets an editor's next build find the server still there.
const IdleTime = 20 * time.Second

// Job is what is to be built at a time: the images side by side, sharing what they
// have in common.
type Job struct {
	Version int
	Machine Machine
	Images  []Request
	// Progress is auto, tty, plain, json or quiet.
	Progress string
	// Terminal says that Progress may be drawn in place; NO_COLOR has a say in how.
	Terminal bool
	// Check only looks for faults in the Dockerfiles.
	Check bool
	// Prune removes from the cache instead of building.
	Prune *Prune
}

// Request is one image to be built.
type Request struct {
	// Service is what progress and results call it.
	Service string
	// Tags are complete references; the first one is the image's name.
	Tags []string
	// Context is a directory, or an address that BuildKit can fetch (git, http).
	Context string
	// Dockerfile is relative to the context, absolute, or an address; Inline is
	// the text of one instead.
	Dockerfile, Inline string
	Target             string
	Args               map[string]string
	Labels             map[string]string
	// Contexts are further contexts by name: directories, addresses, or
	// docker-image://, or target:SERVICE for another Request of the Job.
	Contexts  map[string]string
	Platforms []string
	NoCache   bool
	// NoCacheFilter are stages that are built anew.
	NoCacheFilter      []string
	Pull               bool
	CacheFrom, CacheTo []Cache
	Secrets            []Secret
	SSH                []SSH
	// Network is that of RUN steps: "" or default, none, host.
	Network    string
	ShmSize    int64
	ExtraHosts []string // NAME=ADDRESS
	Ulimits    []string // NAME=SOFT:HARD
	// Entitlements are network.host, security.insecure.
	Entitlements []string
	// Provenance and SBOM are attestations that the image gets: BuildKit's parameters
	// (mode=max, generator=IMAGE), DefaultAttestation, or "" for none.
	Provenance, SBOM string
}

// DefaultAttestation is one without parameters.
const DefaultAttestation = "true"

// Cache is a place outside where BuildKit's cache is read from or written to.
type Cache struct {
	Type  string // registry, local, inline
	Attrs map[string]string
}

// Secret is given to RUN steps that ask for it, and kept nowhere.
type Secret struct {
	ID, File string
	Value    []byte // in place of a File
}

// SSH is an agent's socket or keys for RUN steps that ask for it.
type SSH struct {
	ID    string
	Paths []string
}

// Result tells what became of a Request.
type Result struct {
	Service string
	// Image is the ID of the image, as image.Image.Digest has it.
	Image string `json:",omitempty"`
	// Manifest is the digest of its manifest or index.
	Manifest string `json:",omitempty"`
	// Error has the place in the Dockerfile and the last lines of output.
	Error string `json:",omitempty"`
	// Canceled is set when the build was interrupted, by the user or by the failure
	// of another.
	Canceled bool `json:",omitempty"`
	// Reclaimed is what Prune removed, in bytes.
	Reclaimed int64 `json:",omitempty"`
}

// Prune says what is removed from the cache.
type Prune struct {
	// All includes what could still be used by a build.
	All bool
	// KeepBytes leaves this much.
	KeepBytes int64
	// Unused is how long something must have been unused.
	Unused time.Duration
}
