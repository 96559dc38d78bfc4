package oci

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

func run(c *call, f *flag.FlagSet, args []string) error {
	var o creation
	o.flags(f)
	detach := f.Bool("detach", false, "return when the program runs")
	alias(f, "d", "detach")
	keep := f.Bool("keep", false, "do not delete the container at its end")
	single := f.Bool("no-subreaper", false, "do not reap the orphans of the container")
	b, err := o.parse(f, args)
	if err != nil {
		return err
	}
	if err := checkTerminal(b.Spec.Process.Terminal, *detach, o.console); err != nil {
		return err
	}
	if *detach {
		return c.runDetached(o, b)
	}
	if !*single {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("cannot become a subreaper: %w", err)
		}
	}
	return c.runHere(o, b, *keep)
}

// checkTerminal: a terminal is kept by this process or handed over, not both.
func checkTerminal(terminal, detach bool, socket string) error {
	switch {
	case socket != "" && !(terminal && detach):
		return errors.New("cannot use a console socket unless a container with a terminal is detached")
	case terminal && detach && socket == "":
		return errors.New("cannot create a terminal for a container that is left alone: give --console-socket")
	}
	return nil
}

func (c *call) runDetached(o creation, b runtime.Bundle) error {
	created, err := c.make(o, b)
	if err != nil {
		return err
	}
	created.PidFD.Close()
	return c.begin(b.ID)
}

// begin starts a created container and removes one that does not start.
func (c *call) begin(id string) error {
	err := c.native().Start(context.Background(), id)
	if err != nil {
		return errors.Join(explain(id, err), c.native().Delete(context.Background(), id, true))
	}
	return nil
}

// runHere stays with the container until its first process ends.
func (c *call) runHere(o creation, b runtime.Bundle, keep bool) error {
	if err := catchSignals(b.Spec.Process.Terminal); err != nil {
		return err
	}
	created, err := c.make(o, b)
	if err != nil {
		return err
	}
	end, err := attach(created.PidFD, created.Console)
	if err != nil {
		return errors.Join(err, c.native().Delete(context.Background(), b.ID, true))
	}
	if err := c.begin(b.ID); err != nil {
		end()
		return err
	}
	code, err := waitFor(created.Pid)
	end()
	if !keep {
		err = errors.Join(err, c.native().Delete(context.Background(), b.ID, true))
	}
	if err != nil {
		return err
	}
	return exitError(code)
}

// attach passes signals on to a process and, when it has a terminal, relays that to
// this process's own. end stops that, after the last output.
func attach(pidfd, console *os.File) (end func(), err error) {
	if err := forward(pidfd); err != nil || console == nil {
		return func() {}, err
	}
	relay, err := newRelay(console)
	if err != nil {
		return nil, err
	}
	relay.follow()
	return relay.end, nil
}

// waitFor reaps children until pid is one of them, and returns its exit code as a
// shell would.
func waitFor(pid int) (int, error) {
	for {
		var status unix.WaitStatus
		got, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("cannot wait for process %d: %w", pid, err)
		case got != pid:
		case status.Signaled():
			return 128 + int(status.Signal()), nil
		default:
			return status.ExitStatus(), nil
		}
	}
}
