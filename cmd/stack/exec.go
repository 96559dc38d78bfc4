package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"stack/runtime"
	"stack/runtime/native"
	"stack/scheduler"
)

type execOptions struct {
	ttyFlags
	detach     bool
	env        []string
	index      int
	privileged bool
	user       string
	workdir    string
}

func newExec(a *app) *cobra.Command {
	o := &execOptions{}
	cmd := &cobra.Command{
		Use:   "exec [OPTIONS] SERVICE COMMAND [ARGS...]",
		Short: "Run a program in a running container",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExec(cmd.Context(), a, o, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows the service is the program's
	o.ttyFlags.add(f)
	f.BoolVarP(&o.detach, "detach", "d", false, "do not wait for the program")
	f.StringArrayVarP(&o.env, "env", "e", nil, "KEY=VALUE for the program (repeatable)")
	f.IntVar(&o.index, "index", 0, "replica number")
	f.BoolVar(&o.privileged, "privileged", false, "with all capabilities")
	f.StringVarP(&o.user, "user", "u", "", "run as this user: NAME or UID, [:GROUP or :GID]")
	f.StringVarP(&o.workdir, "workdir", "w", "", "working directory")
	return cmd
}

// runExec makes the program this process's own child, so that it needs neither
// controller nor shim.
func runExec(ctx context.Context, a *app, o *execOptions, service string, args []string) error {
	if os.Geteuid() != 0 {
		return errors.New(needRoot(os.Args))
	}
	s, err := a.store(ctx)
	if err != nil {
		return err
	}
	i, err := a.runningContainer(ctx, s, service, o.index)
	if err != nil {
		return err
	}
	return execIn(ctx, a, o, s, i, args)
}

// execIn runs a program in one container.
func execIn(ctx context.Context, a *app, o *execOptions, s *scheduler.Store, i *scheduler.Instance, args []string) error {
	rt := native.New(native.Options{Root: s.Containers()})
	opt, err := o.read(ctx, s, rt, i)
	if err != nil {
		return err
	}
	opt.Args = args
	if !o.detach {
		if opt.Terminal, err = o.wanted(a); err != nil {
			return err
		}
		opt.Rows, opt.Columns = a.screenSize()
	}
	process, err := s.ExecProcess(i.ID, opt)
	if err != nil {
		return fmt.Errorf("cannot execute in container %s: %w", i.Name, err)
	}
	e := &execution{a: a, runtime: rt, instance: i, spec: runtime.Exec{Process: process}, input: o.interactive}
	ctx = context.WithoutCancel(ctx) // signals are the program's from here on
	switch {
	case o.detach:
		_, err := e.start(ctx)
		return err
	case opt.Terminal:
		return e.onTerminal(ctx)
	}
	return e.onPipes(ctx)
}

// execution is one program beside a container's own.
type execution struct {
	a        *app
	runtime  *native.Runtime
	instance *scheduler.Instance
	spec     runtime.Exec
	input    bool
}

func (e *execution) start(ctx context.Context) (runtime.Process, error) {
	p, err := e.runtime.Exec(ctx, e.instance.ID, e.spec)
	var step *runtime.StepError
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, runtime.ErrPaused):
		return p, fmt.Errorf("container %s is paused: unpause it before exec", e.instance.Name)
	case errors.Is(err, runtime.ErrNotRunning), errors.Is(err, runtime.ErrNotFound):
		return p, fmt.Errorf("container %s is not running", e.instance.Name)
	case errors.As(err, &step):
		fmt.Fprintf(e.a.stderr, "stack: cannot run in container %s: %v\n", e.instance.Name, step)
		return p, exitError(step.ExitCode())
	}
	return p, err
}

func (e *execution) onPipes(ctx context.Context) error {
	pipes, err := e.a.lay(e.input)
	if err != nil {
		return err
	}
	e.spec.Stdin, e.spec.Stdout, e.spec.Stderr = pipes.stdin, pipes.stdout, pipes.stderr
	p, err := e.start(ctx)
	pipes.handedOver()
	if err != nil {
		return err
	}
	return e.wait(p, pipes.finish)
}

func (e *execution) onTerminal(ctx context.Context) error {
	p, err := e.start(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	screen, err := e.a.openScreen(e.input)
	if err != nil {
		return err
	}
	defer screen.close()
	e.a.followSize(ctx, p.Console)
	out := startPump(e.a.stdout, p.Console)
	if e.input {
		go copyKeys(p.Console, e.a.stdin)
	}
	return e.wait(p, out.finish)
}

// wait forwards signals until the program has ended and everything it wrote is out.
func (e *execution) wait(p runtime.Process, finish func()) error {
	// A handle of its own: the pid may be another's once it was waited for.
	handle, err := os.FindProcess(p.Pid)
	if err != nil {
		return err
	}
	stop := forwardSignals(func(sig syscall.Signal) { handle.Signal(sig) })
	exit, err := p.Wait()
	stop()
	finish()
	if err != nil || exit.Code == 0 {
		return err
	}
	return exitError(exit.Code)
}
