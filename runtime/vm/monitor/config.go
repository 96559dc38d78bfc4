package monitor

import (
	"time"

	"stack/runtime/vm/wire"
)

// Paths in the hypervisor's container. The host puts everything there.
const (
	Dir            = "/machine"
	ConfigPath     = Dir + "/config.json"
	InterfacesPath = Dir + "/interfaces.json"
	FilesDir       = Dir + "/files" // the content of Machine.Files, by number
	Program        = Dir + "/stack-shim"
	KernelPath     = Dir + "/kernel"
	InitrdPath     = Dir + "/initrd"
	DiskPath       = Dir + "/disk"
	LayersDir      = Dir + "/layers"
	SharedDir      = Dir + "/shared"
)

// Descriptors that the processes get.
const (
	// ListenFD is the monitor's listening control socket, ControlFD a relay's
	// connection.
	ListenFD  = 3
	ControlFD = 3
	// PortFD, ConsoleFD and those from FirstTapFD on are QEMU's.
	PortFD     = 3
	ConsoleFD  = 4
	FirstTapFD = 5
)

// Config is ConfigPath's content, Version 1.
type Config struct {
	Version int
	Machine wire.Machine // without the files' content and the interfaces
	// Command is QEMU's, but for its network devices.
	Command []string
	// Stdin says that the container has a standard input.
	Stdin    bool
	Terminal bool
	// Boot is how long the guest may take until it says hello.
	Boot time.Duration
}

// ConfigVersion is the Version written.
const ConfigVersion = 1
