package oci

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

// execution are the flags of exec.
type execution struct {
	creation
	process, cwd, user string
	env, caps          words
	groups             words
	terminal, detach   bool
	noNewPrivileges    bool
}

// words collects a flag that may be repeated.
type words []string

func (w *words) String() string     { return strings.Join(*w, ",") }
func (w *words) Set(v string) error { *w = append(*w, v); return nil }

func (o *execution) parse(f *flag.FlagSet, args []string) error {
	f.StringVar(&o.console, "console-socket", "", "unix `socket` that receives the terminal's master")
	f.StringVar(&o.pidfdSocket, "pidfd-socket", "", "unix `socket` that receives a pidfd of the process")
	f.StringVar(&o.pidFile, "pid-file", "", "`file` to write the process's pid to")
	f.IntVar(&o.preserve, "preserve-fds", 0, "`number` of further descriptors to pass on")
	f.StringVar(&o.process, "process", "", "`file` with the process as JSON")
	alias(f, "p", "process")
	f.StringVar(&o.cwd, "cwd", "", "working `directory`")
	f.StringVar(&o.user, "user", "", "`UID[:GID]`")
	alias(f, "u", "user")
	f.Var(&o.env, "env", "`NAME=VALUE` to add to the environment")
	alias(f, "e", "env")
	f.Var(&o.caps, "cap", "`capability` to add")
	alias(f, "c", "cap")
	f.Var(&o.groups, "additional-gids", "`gid` of a further group")
	alias(f, "g", "additional-gids")
	f.BoolVar(&o.terminal, "tty", false, "with a terminal")
	alias(f, "t", "tty")
	f.BoolVar(&o.detach, "detach", false, "return when the program runs")
	alias(f, "d", "detach")
	f.BoolVar(&o.noNewPrivileges, "no-new-privs", false, "without a way to more privileges")
	if err := parse(f, args, 1, -1); err != nil {
		return err
	}
	if o.process == "" && f.NArg() < 2 {
		return usageError{errors.New("exec: a command or --process is needed")}
	}
	return nil
}

func execute(c *call, f *flag.FlagSet, args []string) error {
	var o execution
	if err := o.parse(f, args); err != nil {
		return err
	}
	id := f.Arg(0)
	p, err := c.processOf(id, o, f.Args()[1:])
	if err == nil {
		err = checkTerminal(p.Terminal, o.detach, o.console)
	}
	if err == nil {
		err = c.execute(id, o, p)
	}
	var code exitError
	if err == nil || errors.As(err, &code) {
		return err
	}
	return execError{explain(id, err)}
}

// processOf reads --process, or takes the container's own process and changes it as
// the flags say.
func (c *call) processOf(id string, o execution, args []string) (*specs.Process, error) {
	if o.process != "" {
		text, err := os.ReadFile(o.process)
		if err != nil {
			return nil, fmt.Errorf("cannot read the process: %w", err)
		}
		var p specs.Process
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, fmt.Errorf("cannot use %s: %w", o.process, explainJSON(text, err))
		}
		return &p, nil
	}
	s, err := c.native().State(context.Background(), id)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(s.Bundle, "config.json"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the container's process: %w", err)
	}
	spec, err := parseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read the container's process: %w", err)
	}
	p := spec.Process
	p.Args = args
	return p, o.change(p)
}

func (o *execution) change(p *specs.Process) error {
	p.Terminal = o.terminal
	p.Env = append(p.Env, o.env...)
	if o.cwd != "" {
		p.Cwd = o.cwd
	}
	p.NoNewPrivileges = p.NoNewPrivileges || o.noNewPrivileges
	if len(o.caps) > 0 {
		if p.Capabilities == nil {
			p.Capabilities = &specs.LinuxCapabilities{}
		}
		k := p.Capabilities
		for _, set := range []*[]string{&k.Bounding, &k.Effective, &k.Permitted} {
			*set = append(*set, o.caps...)
		}
	}
	for _, one := range o.groups {
		gid, err := strconv.ParseUint(one, 10, 32)
		if err != nil {
			return fmt.Errorf("invalid group %q", one)
		}
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(gid))
	}
	if o.user == "" {
		return nil
	}
	uid, gid, both := strings.Cut(o.user, ":")
	n, err := strconv.ParseUint(uid, 10, 32)
	if err == nil && both {
		var g uint64
		g, err = strconv.ParseUint(gid, 10, 32)
		p.User.GID = uint32(g)
	}
	if err != nil {
		return fmt.Errorf("invalid user %q: UID[:GID] in numbers is needed", o.user)
	}
	p.User.UID = uint32(n)
	return nil
}

func (c *call) execute(id string, o execution, p *specs.Process) error {
	preserve, err := activation(o.preserve, &p.Env)
	if err != nil {
		return err
	}
	extra, err := inherited(preserve)
	if err != nil {
		return err
	}
	if err := catchSignals(p.Terminal); err != nil {
		return err
	}
	done, err := c.native().Exec(context.Background(), id, runtime.Exec{
		Process: p, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: extra,
	})
	if err != nil {
		return err
	}
	defer done.PidFD.Close()
	as := runtime.Created{Pid: done.Pid, PidFD: done.PidFD, Console: done.Console}
	if err := o.hand(&as); err != nil {
		unix.PidfdSendSignal(int(done.PidFD.Fd()), unix.SIGKILL, nil, 0)
		waitFor(done.Pid)
		return err
	}
	if o.detach {
		return nil
	}
	end, err := attach(done.PidFD, as.Console)
	if err != nil {
		return err
	}
	code, err := waitFor(done.Pid)
	end()
	if err != nil {
		return err
	}
	return exitError(code)
}
