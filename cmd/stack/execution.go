package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"stack/runtime"
	"stack/scheduler"
)

// execution is one program beside a container's own.
type execution struct {
	a        *app
	runtime  *runtimes
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
