package wire

import (
	"net/netip"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// Op is what a stream is for.
type Op string

const (
	OpHello Op = "hello" // guest to monitor: the guest is up
	OpRun   Op = "run"   // host to guest: the machine's container
	OpExec  Op = "exec"  // host to guest: one more process
	OpDial  Op = "dial"  // host to guest: a connection inside
	OpState Op = "state" // host to guest: what the container uses
	OpList  Op = "list"  // host to guest: its processes
	// Host to guest, files of the container: one file, a tree as tar out of it or into
	// it, and what a watch follows.
	OpRead   Op = "read"
	OpPack   Op = "pack"
	OpUnpack Op = "unpack"
	OpSync   Op = "sync"
	OpAwait  Op = "await" // host to monitor: until the program runs, or why it does not
	OpName   Op = "name"  // guest to monitor: a query for the resolver
)

// Request opens a stream.
type Request struct {
	Op Op
	// Machine is for run, Process for exec.
	Machine *Machine       `json:",omitempty"`
	Process *specs.Process `json:",omitempty"`
	// Stdin says that the host has a standard input for the process.
	Stdin bool `json:",omitempty"`
	// Network ("tcp", "udp") and Address are for dial and name.
	Network string `json:",omitempty"`
	Address string `json:",omitempty"`
	// Files is for read, pack, unpack and sync.
	Files *Files `json:",omitempty"`
}

// Files says which files are meant, as package transfer does.
type Files struct {
	Path string
	// Follow follows a link at the end of a path that is packed; Archive names the
	// tree in the stream as it is called.
	Follow, Archive bool
	// Shape is what is unpacked, without one an archive from elsewhere; Keep keeps its
	// owners.
	Shape *Shape `json:",omitempty"`
	Keep  bool
	// Names below Path are synced: those in the stream written, the others removed.
	Names   []string `json:",omitempty"`
	As      string
	Compare bool
}

// Shape is what a copy is of.
type Shape struct {
	Base          string
	Dir, Contents bool
}

// Machine is all that the guest must know.
type Machine struct {
	ID   string
	Spec *specs.Spec
	// Root has paths of the guest.
	Root  runtime.RootFS
	Files []runtime.File
	// Sysctls are written before anything runs.
	Sysctls    map[string]string `json:",omitempty"`
	Interfaces []runtime.Interface
	// Shared says that there are files of the host to share, Disk that there is a
	// disk for what is written.
	Shared, Disk bool
	// Resolver is where names are asked for, if the host answers.
	Resolver netip.Addr `json:",omitzero"`
}

// Message is everything said after a request; one field is set.
type Message struct {
	// Started says that execve(2) succeeded, or what Op asks for.
	Started bool `json:",omitempty"`
	// Failure says why it did not come to that.
	Failure *Failure `json:",omitempty"`
	// Exit is the program's end.
	Exit *Exit `json:",omitempty"`
	// Signal is to be sent to the process.
	Signal int `json:",omitempty"`
	// Size is the terminal's.
	Size *Size `json:",omitempty"`
	// Shape is of what follows as a tar stream.
	Shape *Shape `json:",omitempty"`
	// Warning tells of what is left out of a copy.
	Warning string `json:",omitempty"`
	// Usage answers OpState.
	Usage *Usage `json:",omitempty"`
}

// Failure is an error on its way.
type Failure struct {
	// Step, when set, makes it a runtime.StepError with Errno.
	Step  string `json:",omitempty"`
	Errno int    `json:",omitempty"`
	// Missing says that it is fs.ErrNotExist.
	Missing bool `json:",omitempty"`
	Text    string
}

// Exit is how a process ended.
type Exit struct {
	Code      int
	OOMKilled bool `json:",omitempty"`
}

// Size is a terminal's.
type Size struct{ Rows, Columns uint16 }

// Usage is what the guest's container uses, in the guest's measure.
type Usage struct {
	Pids uint64
	// Processes are the container's, in the guest's numbers.
	Processes []Process `json:",omitempty"`
}

// Process is one process as package ps reads it.
type Process struct {
	UID       uint32
	Pid, PPid int
	CPU       int
	Started   time.Time
	TTY       string
	Time      time.Duration
	Command   string
}
