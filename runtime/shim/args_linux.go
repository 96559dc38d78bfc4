package shim

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// readyFD is the descriptor of the ready pipe in the shim.
const readyFD = 3

// Command is the command line Ensure executes:
// SHIM... run --dir DIR --ready FD [--cgroup NAME] -- CONTROLLER...
func Command(o StartOptions) ([]string, error) {
	argv := o.Shim
	if len(argv) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		argv = []string{filepath.Join(filepath.Dir(self), "stack-shim")}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	argv = append(argv[:len(argv):len(argv)], "run", "--dir", dir, "--ready", strconv.Itoa(readyFD))
	if o.Cgroup != "" {
		argv = append(argv, "--cgroup", o.Cgroup)
	}
	return append(append(argv, "--"), o.Controller...), nil
}

// ParseArgs is the inverse of Command, from the word after "run".
func ParseArgs(args []string) (Options, error) {
	var o Options
	var ready int
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.Dir, "dir", "", "")
	f.StringVar(&o.Cgroup, "cgroup", "", "")
	f.IntVar(&ready, "ready", -1, "")
	if err := f.Parse(args); err != nil {
		return Options{}, err
	}
	if ready > 2 {
		syscall.CloseOnExec(ready)
		o.Ready = os.NewFile(uintptr(ready), "ready")
	}
	o.Controller, o.Env = f.Args(), os.Environ()
	return o, nil
}
