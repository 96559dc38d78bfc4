package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stackFile is the service that is measured. Its duration marks its processes:
// no other sleeps for just as long.
const stackFile = `name: %s
services:
  s:
    image: "rootfs:/"
    init: true
    command: [sleep, "%s"]
    scale: %d
`

// stack measures the real binary as a person would use it.
type stack struct {
	bin     string
	disk    *disk
	dir     string // of the stack file
	project string
	mark    string
}

func newStack(bin string, d *disk) *stack {
	return &stack{bin: bin, disk: d, dir: filepath.Join(d.dir, "stack"), project: "stackbench" + strconv.Itoa(os.Getpid()), mark: mark(1)}
}

// mark is a duration for sleep(1) that tells processes of this run from all others.
func mark(kind int) string { return fmt.Sprintf("1%06d%d", os.Getpid(), kind) }

func (s *stack) name() string { return stackRow }

// round uses a state directory of its own: the first `up` of a machine counts.
func (s *stack) round(ctx context.Context, n int) (sample, error) {
	var out sample
	root, err := s.prepare(ctx, n)
	if err != nil {
		return out, err
	}
	defer s.discard(root)
	if out.up, err = s.up(ctx, root, n); err != nil {
		return out, s.giveUp(root, err)
	}
	if out.down, err = s.timed(ctx, root, "down"); err != nil {
		return out, s.giveUp(root, err)
	}
	return out, wantSleepers(s.mark, 0)
}

// prepare writes the stack file and makes a fresh state directory: as on a real
// machine its run files are in memory and the rest is on a disk.
func (s *stack) prepare(ctx context.Context, n int) (root string, err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return "", err
	}
	text := fmt.Sprintf(stackFile, s.project, s.mark, n)
	if err := os.WriteFile(filepath.Join(s.dir, "stack.yaml"), []byte(text), 0o600); err != nil {
		return "", err
	}
	if root, err = os.MkdirTemp(s.dir, "s"); err != nil {
		return "", err
	}
	return root, s.disk.fresh(ctx, filepath.Join(root, "lib"))
}

func (s *stack) discard(root string) error {
	return errors.Join(s.disk.discard(filepath.Join(root, "lib")), os.RemoveAll(root))
}

// up starts n replicas and checks that they run.
func (s *stack) up(ctx context.Context, root string, n int) (time.Duration, error) {
	took, err := s.timed(ctx, root, "up", "-d")
	if err != nil {
		return 0, err
	}
	return took, wantSleepers(s.mark, n)
}

// giveUp removes what an unfinished round left; the round's own context may be over.
func (s *stack) giveUp(root string, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := s.timed(ctx, root, "down", "-t", "0"); err != nil {
		return fmt.Errorf("%w; and cannot clean up: %w", cause, err)
	}
	return cause
}

func (s *stack) timed(ctx context.Context, root string, args ...string) (time.Duration, error) {
	return timed(s.command(ctx, root, args...))
}

func (s *stack) command(ctx context.Context, root string, args ...string) *exec.Cmd {
	cmd := command(ctx, s.bin, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "STACK_ROOT="+root)
	return cmd
}

// command is a program in a process group of its own: Ctrl-C reaches only this
// one, which then takes down in order.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// timed is the wall time of a command, whose output is shown only in its error.
func timed(cmd *exec.Cmd) (time.Duration, error) {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	begin := time.Now()
	err := cmd.Run()
	took := time.Since(begin)
	if err != nil {
		return took, fmt.Errorf("%v: %w\n%s", cmd.Args, err, tail(said.String()))
	}
	return took, nil
}

// tail is the last lines of a program's output: where it says what went wrong.
func tail(s string) string {
	const most = 6
	lines := strings.SplitAfter(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "")
}
