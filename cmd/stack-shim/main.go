// Command stack-shim is the lean second binary of stack, found beside the first:
//
//	stack-shim run ...      the parent of a stack's containers, started by stack
//	stack-shim parent ...   the parent of a process that another OCI runtime executes
//	stack-shim oci ...      the OCI runtime, which `stack oci` executes
//	stack-oci ...           the same under the name of a link, for --runtime of others
//	stack-shim machine-...  a virtual machine's monitor and relays
//	/init                   process 1 of a virtual machine
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"stack/runtime/external/parent"
	"stack/runtime/native"
	"stack/runtime/oci"
	"stack/runtime/shim"
	"stack/runtime/vm/guest"
	"stack/runtime/vm/monitor"
)

// version is set at link time.
var version = "unknown"

const usage = "usage: stack-shim run --dir DIR [--ready FD] [--cgroup NAME] -- CONTROLLER...\n" +
	"       stack-shim oci COMMAND...\n" +
	"       stack-shim parent ...\n" +
	"It is started by stack, not by hand.\n"

func main() {
	args := os.Args[1:]
	switch {
	case filepath.Base(os.Args[0]) == "stack-oci":
		os.Exit(oci.Main(program("stack-oci"), args))
	case len(args) > 0 && args[0] == "oci":
		os.Exit(oci.Main(program("stack oci"), args[1:]))
	case len(args) > 0 && args[0] == "parent":
		os.Exit(parent.Main(args[1:]))
	case os.Getpid() == 1 && os.Args[0] == "/init":
		guest.Main(func(root string) guest.Containers { return native.New(native.Options{Root: root}) })
	case len(args) > 0 && args[0] == "machine-monitor":
		os.Exit(monitor.Main())
	case len(args) > 0 && args[0] == "machine-relay":
		os.Exit(monitor.Relay(args[1:]))
	case len(args) == 0 || args[0] != "run":
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stack-shim:", err)
		os.Exit(1)
	}
}

// program hands what needs the libraries of the first binary over to it.
func program(name string) oci.Program {
	p := oci.Program{Name: name, Version: version}
	if self, err := os.Executable(); err == nil {
		p.Fuller = []string{filepath.Join(filepath.Dir(self), "stack"), "oci-events"}
	}
	return p
}

func run(args []string) error {
	o, err := shim.ParseArgs(args)
	if err != nil {
		fmt.Fprint(os.Stderr, usage)
		return err
	}
	return shim.Run(o)
}
