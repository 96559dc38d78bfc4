// Command stack-shim is the lean second binary of stack, found beside the first
// and started by it. It links runtime/shim and runtime/log only.
package main

import (
	"fmt"
	"os"

	"stack/runtime/shim"
)

const usage = "usage: stack-shim run --dir DIR [--ready FD] [--cgroup NAME] -- CONTROLLER...\n" +
	"It is started by stack, not by hand.\n"

func main() {
	if len(os.Args) < 2 || os.Args[1] != "run" {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "stack-shim:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o, err := shim.ParseArgs(args)
	if err != nil {
		fmt.Fprint(os.Stderr, usage)
		return err
	}
	return shim.Run(o)
}
