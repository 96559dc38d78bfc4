package external

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// creating is one Create under way.
type creating struct {
	*runtime.Bundle
	runtime  *Runtime
	home     *home
	record   *record
	program  program
	staged   runtime.Staged
	launcher *launcher
	console  *console
	pidfd    *os.File
	master   *os.File
}

// Create implements runtime.Runtime.
func (r *Runtime) Create(ctx context.Context, b runtime.Bundle) (runtime.Created, error) {
	if b.Spec == nil || b.Spec.Process == nil || len(b.Spec.Process.Args) == 0 || b.Spec.Linux == nil {
		return runtime.Created{}, errors.New("invalid specification: process and linux are required")
	}
	path, err := Find(cmp.Or(b.Runtime, r.Program))
	if err != nil {
		return runtime.Created{}, err
	}
	h, err := r.claim(ctx, b.ID)
	if err != nil {
		return runtime.Created{}, err
	}
	defer h.Close()
	c := &creating{Bundle: &b, runtime: r, home: h, program: program{path}}
	defer c.close()
	if err := c.create(ctx); err != nil {
		if c.staged.Finish != nil {
			c.staged.Finish(err)
		}
		return runtime.Created{}, errors.Join(err, c.undo())
	}
	return runtime.Created{
		Pid: c.record.Pid, StartTime: c.record.StartTime,
		PidFD: c.pidfd, Console: c.master, Warnings: c.staged.Warnings,
	}, nil
}

func (c *creating) create(ctx context.Context) error {
	for _, step := range []func(context.Context) error{c.intend, c.prepare, c.fork, c.identify, c.finish} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// intend records what is about to be made, so that Delete finds it after a crash at
// any point.
func (c *creating) intend(context.Context) error {
	rec := &record{
		Version: recordVersion, ID: c.ID, Created: time.Now(), Program: c.program.path, Bundle: c.Directory,
		Cgroup: cgroupPath(c.ID, c.Spec.Linux.CgroupsPath), Annotations: c.Spec.Annotations,
	}
	c.record = rec
	ns, own := userNamespace(c.Spec.Linux)
	if own {
		rec.UserNS = true
		rec.UIDs, rec.GIDs = c.Spec.Linux.UIDMappings, c.Spec.Linux.GIDMappings
	}
	if ns != "" {
		var err error
		if rec.UIDs, rec.GIDs, err = c.runtime.Host.IDMaps(ns, c.Spec.Linux); err != nil {
			return err
		}
	}
	return c.home.write(rec)
}

// prepare makes what the container's first process inherits.
func (c *creating) prepare(context.Context) (err error) {
	if !c.program.gvisor() && hasProc(c.Spec) {
		if c.launcher, err = c.runtime.newLauncher(c.Spec.Process, c.Spec.Annotations[initAnnotation] == "true", false, len(c.ExtraFiles)); err != nil {
			return err
		}
		c.record.Launched, c.record.Steps = true, c.launcher.steps
		if c.launcher.report, err = c.home.makeReport(); err != nil {
			return err
		}
	}
	if c.Spec.Process.Terminal {
		c.console, err = listen(c.home.Path)
		return err
	}
	return c.runtime.Host.OwnPipes(c.Spec.Process, c.record.UIDs, c.Stdin, c.Stdout, c.Stderr)
}

// fork stages the root file system and runs the program's create, both on a thread
// whose end takes the stage and the program along.
func (c *creating) fork(ctx context.Context) error {
	j, err := c.home.newJob(c.program)
	if err != nil {
		return err
	}
	defer j.end()
	j.words = c.program.create(c.home.Path, c.ID, c.console.address(), len(c.ExtraFiles)+c.launcher.descriptors())
	return c.runtime.Host.ThrowAway(func() (err error) {
		c.staged, err = c.runtime.Host.Stage(ctx, c.Bundle, c.home.Path, c.program.path)
		if err != nil {
			return err
		}
		if err := c.home.WriteJSON(configName, config(c.Bundle, c.staged, c.record, c.launcher.path())); err != nil {
			return err
		}
		return c.run(ctx, j)
	})
}

func (c *creating) run(ctx context.Context, j *job) error {
	cmd := j.command(ctx)
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	if !c.Spec.Process.Terminal {
		setStdio(cmd, c.Bundle)
	}
	cmd.ExtraFiles = c.launcher.files(c.ExtraFiles)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot run %s: %w", c.program.path, err)
	}
	err := c.noteCreator(cmd)
	if err != nil {
		cmd.Process.Kill()
	}
	if waited := cmd.Wait(); err == nil && waited != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return j.failure(waited, "")
	}
	os.Remove(c.home.Name(creatingName))
	return err
}

// noteCreator records the program that works, for who deletes after our death.
func (c *creating) noteCreator(cmd *exec.Cmd) error {
	start, err := c.runtime.Host.StartTime(cmd.Process.Pid)
	if errors.Is(err, runtime.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(c.home.Name(creatingName), fmt.Appendf(nil, "%d %d", cmd.Process.Pid, start), 0o600)
}

// identify finds the first process and its terminal.
func (c *creating) identify(ctx context.Context) (err error) {
	rec := c.record
	if rec.Pid, err = readPid(c.home.Name(pidName)); err != nil {
		return fmt.Errorf("%s created container %s, but: %w", filepath.Base(c.program.path), c.ID, err)
	}
	if rec.StartTime, err = c.runtime.Host.StartTime(rec.Pid); err == nil {
		c.pidfd, err = c.runtime.Host.OpenProcess(rec.Pid, rec.StartTime)
	}
	if err != nil {
		return fmt.Errorf("the first process of container %s has ended: %w", c.ID, err)
	}
	if c.console != nil {
		if c.master, err = c.console.receive(ctx); err != nil {
			return err
		}
	}
	return c.setDomainname()
}

// finish plugs in the network, completes what depends on it and lets the caller
// adopt the process.
func (c *creating) finish(ctx context.Context) error {
	var err error
	if c.Attach != nil {
		err = c.Attach(ctx, c.record.Pid)
	}
	done := c.staged.Finish
	c.staged.Finish = nil
	if err := done(err); err != nil {
		return err
	}
	if err := c.home.write(c.record); err != nil {
		return err
	}
	if c.Adopt != nil {
		return c.Adopt(ctx, c.record.Pid)
	}
	return nil
}

// undo leaves nothing behind of a failed create.
func (c *creating) undo() error {
	for _, f := range []*os.File{c.pidfd, c.master} {
		if f != nil {
			f.Close()
		}
	}
	return c.runtime.destroy(context.Background(), c.home, c.record)
}

func (c *creating) close() {
	c.launcher.close()
	c.console.close()
}

// setStdio leaves /dev/null where b gives nothing: a nil file in an interface would be
// no nil.
func setStdio(cmd *exec.Cmd, b *runtime.Bundle) {
	if b.Stdin != nil {
		cmd.Stdin = b.Stdin
	}
	if b.Stdout != nil {
		cmd.Stdout = b.Stdout
	}
	if b.Stderr != nil {
		cmd.Stderr = b.Stderr
	}
}

func readPid(name string) (int, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, errors.Join(errNoPid, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("cannot read the pid file: %q", b)
	}
	return pid, nil
}
