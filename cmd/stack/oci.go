package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"stack/runtime/native/metrics"
	"stack/runtime/oci"
)

// ociVerb is the OCI runtime's command line. It lives in the lean binary, which
// this one executes before it does anything else.
const ociVerb = "oci"

// newOCI is for the help text alone, see main.
func newOCI() *cobra.Command {
	return &cobra.Command{
		Use:                ociVerb + " COMMAND",
		Short:              "Be an OCI runtime: create, start, run, exec, state, kill, delete, ...",
		DisableFlagParsing: true,
		RunE:               func(*cobra.Command, []string) error { return exitError(execOCI(os.Args)) },
	}
}

// execOCI replaces this process by stack-shim, which is found beside it; it returns
// the exit code when it cannot.
func execOCI(args []string) int {
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(filepath.Join(filepath.Dir(self), "stack-shim"), args, os.Environ())
	}
	fmt.Fprintf(os.Stderr, "stack: cannot execute stack-shim, which must lie beside stack: %v\n", err)
	return 1
}

// newOCIEvents is the part of the OCI command line that stack-shim hands back: the
// libraries that read statistics are too heavy for it.
func newOCIEvents() *cobra.Command {
	return &cobra.Command{
		Use:                "oci-events",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if code := oci.Main(oci.Program{Name: "stack oci", Version: version, Stats: metrics.Read}, args); code != 0 {
				return exitError(code)
			}
			return nil
		},
	}
}
