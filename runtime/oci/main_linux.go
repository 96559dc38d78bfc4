package oci

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
	"stack/runtime/native"
)

// DefaultRoot is where containers are recorded without --root.
const DefaultRoot = "/run/stack-oci"

// command is one verb.
type command struct {
	name  string
	args  string // as in a usage line
	about string
	// run sets its flags up, parses and acts.
	run func(*call, *flag.FlagSet, []string) error
}

func commands() []command {
	return []command{
		{"create", "ID", "create a container and leave it waiting for start", create},
		{"start", "ID", "let a created container execute its program", start},
		{"run", "ID", "create and start, and without -d wait and delete", run},
		{"exec", "ID [COMMAND...]", "run one more process in a running container", execute},
		{"state", "ID", "print a container's state as JSON", state},
		{"kill", "ID [SIGNAL]", "send a signal, SIGTERM if none is given", kill},
		{"delete", "ID", "remove a container that does not run", remove},
		{"list", "", "list containers", list},
		{"ps", "ID [ps options]", "list a container's processes", processes},
		{"pause", "ID", "freeze a container's processes", pause},
		{"resume", "ID", "let frozen processes go on", resume},
		{"update", "ID", "change limits", update},
		{"events", "ID", "print statistics and out-of-memory events", events},
		{"spec", "", "write a config.json to start from", writeSpec},
		{"features", "", "print what this runtime supports", printFeatures},
	}
}

// Program is the executable around the command line.
type Program struct {
	Name    string // as people call it: "stack oci"
	Version string
	// Stats reads what control groups use; see native.Options. The lean program has
	// none: it executes Fuller instead, the command line of one that has, followed by
	// the arguments.
	Stats  func(paths map[string]string) (runtime.Stats, error)
	Fuller []string
}

// call is one command line.
type call struct {
	Program
	args   []string
	global global
	out    io.Writer
	errors io.Writer
	made   *native.Runtime // by make
}

// global are the flags before the verb.
type global struct {
	root, log, logFormat string
	debug                bool
	systemd              bool
}

// exitError is a process's exit code, to be passed on without a message.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Main runs a command line, args without the program's name, and returns the exit
// code: 0, 1 for an error (255 for exec), or the code of the process that run and
// exec waited for.
func Main(p Program, args []string) int {
	// What happens here happens one after the other. With more, Go's scheduler wakes
	// threads that look for work in vain: a tenth of the processor time of run.
	goruntime.GOMAXPROCS(1)
	deepen(false)
	c := &call{Program: p, args: args, out: os.Stdout, errors: os.Stderr}
	err := c.main(args)
	var code exitError
	var usage usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		fmt.Fprintf(c.errors, "%s: %v\n", p.Name, err)
		return 1
	}
	c.report(err)
	var failed execError
	if errors.As(err, &failed) {
		return 255
	}
	return 1
}

// deepen makes room for its frame, which is hardly ever used: the stack grows once,
// while there is little on it, and not step by step under calls that are to be adjusted.
//
//go:noinline
func deepen(use bool) int {
	if !use {
		return 0
	}
	var room [48 << 10]byte
	return copy(room[:], os.Args[0])
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (c *call) main(args []string) error {
	f := c.newFlags("")
	version := false
	f.StringVar(&c.global.root, "root", DefaultRoot, "`directory` of the containers' state")
	f.StringVar(&c.global.log, "log", "", "`file` for messages, beside standard error")
	f.StringVar(&c.global.logFormat, "log-format", "text", "text or json")
	f.BoolVar(&c.global.debug, "debug", false, "accepted and ignored")
	f.BoolVar(&c.global.systemd, "systemd-cgroup", false, "refused: cgroups are made directly")
	f.String("rootless", "auto", "accepted and ignored: root is needed")
	f.String("criu", "", "accepted and ignored: there is no checkpoint")
	f.BoolVar(&version, "version", false, "print the version")
	f.BoolVar(&version, "v", false, "print the version")
	f.Usage = func() { c.usage(f) }
	if err := f.Parse(args); err != nil {
		return usageError{err}
	}
	if version {
		fmt.Fprintf(c.out, "stack version %s\nspec: %s\n", c.Version, specs.Version)
		return nil
	}
	if f.NArg() == 0 || f.Arg(0) == "help" {
		c.usage(f)
		return flag.ErrHelp
	}
	return c.dispatch(f.Args())
}

func (c *call) dispatch(args []string) error {
	if c.global.systemd {
		return errors.New("--systemd-cgroup is not supported: use the cgroupfs driver (native.cgroupdriver=cgroupfs)")
	}
	if l := c.global.logFormat; l != "text" && l != "json" {
		return fmt.Errorf("unknown log format %q", l)
	}
	for _, one := range commands() {
		if one.name != args[0] {
			continue
		}
		f := c.newFlags(one.name)
		f.Usage = func() {
			fmt.Fprintf(f.Output(), "usage: %s %s [flags] %s\n%s\n", c.Name, one.name, one.args, one.about)
			f.PrintDefaults()
		}
		return one.run(c, f, args[1:])
	}
	return usageError{fmt.Errorf("unknown command %q", args[0])}
}

func (c *call) newFlags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(c.errors)
	return f
}

func (c *call) usage(f *flag.FlagSet) {
	fmt.Fprintf(c.errors, "usage: %s [flags] COMMAND\n", c.Name)
	f.PrintDefaults()
	for _, one := range commands() {
		fmt.Fprintf(c.errors, "  %-28s %s\n", strings.TrimSpace(one.name+" "+one.args), one.about)
	}
}

// parse reads a command's flags and takes between least and most arguments; most
// below zero is any number.
func parse(f *flag.FlagSet, args []string, least, most int) error {
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	if f.NArg() < least || most >= 0 && f.NArg() > most {
		f.Usage()
		return usageError{fmt.Errorf("%s: wrong number of arguments", f.Name())}
	}
	return nil
}

// parseID is parse for a command whose only argument is a container.
func parseID(f *flag.FlagSet, args []string) (string, error) {
	err := parse(f, args, 1, 1)
	return f.Arg(0), err
}

// native is the runtime, the one that made the container where there is one.
func (c *call) native() *native.Runtime {
	if c.made != nil {
		return c.made
	}
	return native.New(native.Options{Root: c.global.root, Stats: c.Stats})
}

// alias gives a flag a second name.
func alias(f *flag.FlagSet, short, long string) {
	known := f.Lookup(long)
	f.Var(known.Value, short, "the same as --"+long)
}
