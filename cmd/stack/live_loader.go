package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"stack/runtime/native/rootfs"
	"stack/scheduler"
	"stack/spec"
)

// liveLoader is the controller's scheduler.LiveLoader: it asks processes of live-load.
type liveLoader struct {
	exe     string
	project string
}

// loadPatience is how long a load may take: what never ends is somebody's trick.
const loadPatience = 15 * time.Second

// unnamed is what variables hold in the second load that are set in the environment
// of who brought the stack up and that it did not name then. They change the result
// if they are used.
const unnamed = "?stack?"

// Load loads twice: once as a process that sees the stack's folder and what was read
// outside it before, and has the variables that were used before; once as `up`
// would. Where that is not the same, a person is to be asked.
func (l liveLoader) Load(ctx context.Context, src scheduler.LiveSource, approved *spec.Stack) (scheduler.LiveLoad, error) {
	for try := 0; ; try++ {
		held, free, err := l.both(ctx, src, approved)
		if err != nil {
			return scheduler.LiveLoad{}, err
		}
		load, torn, err := compare(held, free)
		if err != nil || !torn || try == 2 {
			return load, err
		}
	}
}

func (l liveLoader) both(ctx context.Context, src scheduler.LiveSource, approved *spec.Stack) (held, free liveAnswer, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		held, err = l.ask(ctx, src.Environ, liveRequest{Source: src, Project: l.project, View: viewOf(src, approved)})
		return err
	})
	group.Go(func() (err error) {
		environ := slices.Clone(src.Environ)
		for _, name := range src.Others {
			environ = append(environ, name+"="+unnamed)
		}
		free, err = l.ask(ctx, environ, liveRequest{Source: src, Project: l.project})
		return err
	})
	return held, free, group.Wait()
}

// compare decides which of the two loads counts; torn says that they differ for no
// reason that can be told: the files changed in between.
func compare(held, free liveAnswer) (load scheduler.LiveLoad, torn bool, err error) {
	load = scheduler.LiveLoad{Problem: free.Problem, Reads: free.Reads}
	if free.Spec == nil {
		return load, held.Spec != nil, nil
	}
	if load.Stack, err = spec.Decode(free.Spec); err != nil {
		return load, false, err
	}
	var confined *spec.Stack
	if held.Spec != nil {
		if confined, err = spec.Decode(held.Spec); err != nil {
			return load, false, err
		}
	}
	switch same, err := scheduler.SameStack(confined, load.Stack); {
	case err != nil:
		return load, false, err
	case same:
		confined.Files, confined.Sources = load.Stack.Files, load.Stack.Sources
		load.Stack = confined
	case len(free.Others) > 0:
		load.Stack, load.NeedsUp = nil, true
		load.Reasons = []scheduler.Reason{{Text: "it uses variables of the environment that it did not use at the last up: " + strings.Join(free.Others, ", ")}}
	case held.Unconfined != "":
		load.Reasons = []scheduler.Reason{{Text: "its files cannot be read apart from the others: " + held.Unconfined}}
	default:
		load.Reasons = []scheduler.Reason{{Text: "it reads files outside the stack's folder"}}
		return load, true, nil
	}
	return load, false, nil
}

// viewOf is what a confined load sees of the host.
func viewOf(src scheduler.LiveSource, approved *spec.Stack) *rootfs.View {
	v := &rootfs.View{Dirs: []string{approved.WorkingDir}, Work: src.Dir, Files: map[string]string{os.DevNull: os.DevNull}}
	home, err := filepath.EvalSymlinks(approved.WorkingDir)
	if err != nil {
		home = approved.WorkingDir
	}
	for _, f := range approved.Files {
		if f.Real == "" || spec.Within(home, f.Real) {
			continue
		}
		v.Files[f.Real] = f.Real
		if !spec.Within(approved.WorkingDir, f.Path) && !spec.Within(home, f.Path) {
			v.Files[f.Path] = f.Real
		}
	}
	return v
}

// Prepare implements scheduler.LiveLoader.
func (l liveLoader) Prepare(ctx context.Context, src scheduler.LiveSource, st *spec.Stack, services []string) error {
	text, err := spec.Encode(st)
	if err != nil {
		return err
	}
	answer, err := l.ask(ctx, slices.Concat(src.Around, src.Environ), liveRequest{Source: src, Project: l.project, Spec: text, Services: services})
	if err == nil && answer.Problem.Text != "" {
		return &answer.Problem
	}
	return err
}

// ask runs one process.
func (l liveLoader) ask(ctx context.Context, environ []string, r liveRequest) (answer liveAnswer, err error) {
	if r.Spec == nil { // a pull may take its time
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, loadPatience)
		defer cancel()
	}
	text, err := json.Marshal(r)
	if err != nil {
		return answer, err
	}
	cmd := exec.CommandContext(ctx, l.exe, "live-load")
	cmd.Env, cmd.Dir = environ, r.Source.Dir
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	if r.View != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return answer, fmt.Errorf("cannot load the stack's files: %w: %s", err, bytes.TrimSpace(errs.Bytes()))
	}
	return answer, json.Unmarshal(out.Bytes(), &answer)
}
