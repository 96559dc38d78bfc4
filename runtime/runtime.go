package runtime

import (
	"context"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Runtime runs containers. All methods are safe for concurrent use with
// different container IDs; calls for one ID are the caller's to serialise.
type Runtime interface {
	// Create makes the container described by b and leaves its first process
	// waiting for Start. A failed Create leaves nothing behind.
	// Errors: ErrExists, *StepError.
	Create(ctx context.Context, b Bundle) (Created, error)
	// Start lets the first process execute the user's program and returns when
	// execve(2) succeeded. A program that cannot be executed is a *StepError
	// whose ExitCode is 126 or 127.
	Start(ctx context.Context, id string) error
	// Kill sends sig to the first process, or to every process when all is set.
	// Errors: ErrNotFound, ErrNotRunning.
	Kill(ctx context.Context, id string, sig syscall.Signal, all bool) error
	// Delete removes a stopped or created container with everything it owns:
	// cgroups, mounts, state. With force a running one is killed first.
	// Deleting what does not exist is ErrNotFound, a running one without force
	// ErrRunning.
	Delete(ctx context.Context, id string, force bool) error
	// State returns the container as it is now; ErrNotFound when unknown.
	State(ctx context.Context, id string) (State, error)
	// List returns every container under this runtime's root.
	List(ctx context.Context) ([]State, error)
	// Exec runs one more process inside a running container. The process, or its
	// Proxy, is the caller's child: the caller waits for it (Process.Wait), and soon: the container's first
	// process cannot end before its exec'd ones are reaped.
	// Errors: ErrNotFound, ErrNotRunning, ErrPaused, *StepError.
	Exec(ctx context.Context, id string, e Exec) (Process, error)
	Pause(ctx context.Context, id string) error
	Resume(ctx context.Context, id string) error
	// Update changes limits of a live container. Fields left nil keep their value.
	Update(ctx context.Context, id string, r *specs.LinuxResources) error
	Stats(ctx context.Context, id string) (Stats, error)
	// Pids lists the host pids of every process in the container.
	Pids(ctx context.Context, id string) ([]int, error)
}

// Status is a container's state in the words of the OCI runtime specification.
type Status string

const (
	Creating      Status = "creating"
	StatusCreated Status = "created"
	Running       Status = "running"
	Paused        Status = "paused"
	Stopped       Status = "stopped"
)

// Bundle is everything needed to create one container.
type Bundle struct {
	// ID names the container: 64 hexadecimal digits for stacks, any
	// [A-Za-z0-9_.+-]+ from the OCI command line.
	ID string
	// Spec is the OCI runtime-spec 1.3 configuration. A bind mount's source of the
	// form /proc/PID/root/PATH is what the container of that process has at PATH.
	Spec *specs.Spec
	// Directory is the OCI bundle's directory, which hooks and State tell; may be
	// empty.
	Directory string
	// Runtime is the OCI runtime that shall run the container, as a program's name or
	// path; empty is the native one. A runtime that is not asked to choose ignores it.
	Runtime string
	// Root says how the root file system is put together. When it is the zero
	// value, Spec.Root.Path is a directory used as it is.
	Root RootFS
	// Files are written to a private tmpfs and bound read-only (unless Writable)
	// at their targets: secrets and configs, never on a disk.
	Files []File
	// Stdin, Stdout and Stderr become descriptors 0, 1 and 2; nil is /dev/null.
	// Ignored when Spec.Process.Terminal is set.
	Stdin, Stdout, Stderr *os.File
	// ExtraFiles become descriptors 3 and up.
	ExtraFiles []*os.File
	// Attach, when set, is called with the first process's pid as soon as its
	// namespaces exist, while the root file system is being built: the place to
	// plug in the network (/proc/PID/ns/net). Create fails if it fails.
	Attach func(ctx context.Context, pid int) error
	// Adopt, when set, is called with the pid before the process may run
	// anything of the user's, so that its parent (the shim) can know its name.
	Adopt func(ctx context.Context, pid int) error
	// Interfaces, when set, is called once Attach has returned, by a runtime whose
	// containers have a network stack of their own: what Attach plugged in.
	Interfaces func() []Interface `json:"-"`
}

// RootFS is a root file system of layers with a writable one on top.
type RootFS struct {
	// Lowers are read-only layer directories, the topmost first.
	Lowers []string
	// NoLinks refuses links on the way to Lowers: somebody may put some there.
	NoLinks bool `json:",omitempty"`
	// Upper and Work are directories on one file system, made by the runtime if
	// absent. Empty Upper with Lowers set makes the root read-only.
	Upper, Work string
	// Size is what a disk can hold that a runtime makes for Upper, in bytes; 0 leaves it
	// to the runtime. A directory is bounded by whoever owns it (package quota).
	Size int64 `json:",omitempty"`
	// Mapped says that Upper and Work hold the container's ids on disk, as the
	// layers do, so that Upper can become a layer. Both lie in one directory.
	Mapped bool
	// Overlays are further copy-on-write trees mounted inside the root, such as
	// the host's /usr for "rootfs:/". Targets are created in the root if absent.
	Overlays []Overlay
}

// Overlay is a copy-on-write view of Lower at Target inside the root.
type Overlay struct {
	Target      string
	Lower       string
	Upper, Work string
}

// File is one file given to a container on tmpfs.
type File struct {
	// Target is the absolute path inside the container.
	Target   string
	Content  []byte
	UID, GID uint32 // container ids
	Mode     os.FileMode
	Writable bool
	// Append, when set, is called once Attach has returned: what it gives follows
	// Content.
	Append func() []byte `json:"-"`
}

// Created tells what Create made.
type Created struct {
	Pid int
	// StartTime is field 22 of /proc/PID/stat, in clock ticks since boot. A pid
	// is trusted only together with it.
	StartTime uint64
	// PidFD refers to the first process; the caller closes it.
	PidFD *os.File
	// Console is the terminal's master when Spec.Process.Terminal is set; the
	// caller closes it.
	Console *os.File
	// Warnings tell what this machine could not do as asked (a hard rlimit that
	// may not be raised, an absent controller), one sentence each.
	Warnings []string
}

// State is what is known of a container.
type State struct {
	ID        string
	Status    Status
	Pid       int    // 0 when stopped
	StartTime uint64 // see Created.StartTime
	Created   time.Time
	Bundle    string // Bundle.Directory, or without one the container's record
	// Annotations are copied from the spec.
	Annotations map[string]string
	// OOMKilled is the number of processes the kernel killed for memory.
	OOMKilled uint64
	// UserNS says whether the container has a user namespace of its own.
	UserNS bool
}

// Exec describes a further process of a container.
type Exec struct {
	Process *specs.Process
	// Stdin, Stdout and Stderr become descriptors 0, 1 and 2; nil is /dev/null.
	// Ignored when Process.Terminal is set.
	Stdin, Stdout, Stderr *os.File
	// ExtraFiles become descriptors 3 and up.
	ExtraFiles []*os.File
}

// Process is a running process made by Exec.
type Process struct {
	Pid     int
	PidFD   *os.File // refers to Pid; Wait closes it
	Console *os.File // master of its terminal, or nil
	// Proxy is the caller's child that ends as the process does, where that is none
	// itself; else 0.
	Proxy int
}

// Exit is how a container's first process ended.
type Exit struct {
	// Code is the exit status, 128+n for signal n, or -1 when nobody could read
	// it (Unknown).
	Code int
	// Unknown is set when the process vanished while its parent was dead.
	Unknown   bool `json:",omitempty"`
	OOMKilled bool `json:",omitempty"`
	At        time.Time
}

// Stats is a container's use of resources now.
type Stats struct {
	At          time.Time
	CPUUsage    time.Duration // total CPU time used
	Throttled   time.Duration
	Memory      uint64 // bytes, without inactive page cache
	MemoryLimit uint64 // bytes; 0 without limit
	Swap        uint64
	Pids        uint64
	PidsLimit   uint64
	ReadBytes   uint64 // block devices
	WriteBytes  uint64
	OOMKills    uint64
	// CPUPressure, MemoryPressure and IOPressure are nil where the kernel does not
	// count them: under cgroup v1, or started without psi=1 if it wants that.
	CPUPressure, MemoryPressure, IOPressure *Pressure
}

// Pressure is how long processes stood still for want of something: Some of them,
// or all at once (Full). See the kernel's Documentation/accounting/psi.rst.
type Pressure struct {
	Some Stall `json:"some"`
	Full Stall `json:"full"`
}

// Stall is percents of the last 10, 60 and 300 seconds, and microseconds since the
// beginning.
type Stall struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"`
}

// Interface is a network interface as a machine sets it up for itself: the first
// process's namespace only passes packets on.
type Interface struct {
	Name string // inside the machine ("eth0")
	// Tap is the device in the first process's network namespace whose other end is
	// the interface.
	Tap string
	MAC string
	MTU int
	// Addresses have the lengths of their subnets.
	Addresses []netip.Prefix
	Routes    []Route
}

// Route leads to Destination through Via; without Via it is on the link.
type Route struct {
	Destination netip.Prefix
	Via         netip.Addr `json:",omitzero"`
}
