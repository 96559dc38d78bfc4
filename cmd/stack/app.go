package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"stack/runtime/native/rootfs"
	"stack/runtime/shim"
	"stack/scheduler"
	"stack/scheduler/api"
	"stack/spec"
)

// app is what every verb needs: the process's surroundings and the global flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	layout         scheduler.Layout

	files      []string
	project    string
	profiles   []string
	envFiles   []string
	dir        string
	ansi       string
	progress   string
	parallel   int
	compatible bool
	dryRun     bool
	// all has config print what no service uses.
	all   bool
	idMap rootfs.IDMapProbe
	// plain shows progress as lines even on a terminal: other output comes between.
	plain bool
}

func newApp() *app {
	return &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv,
		layout: scheduler.NewLayout(os.Getenv, os.Geteuid()),
	}
}

func (a *app) globalFlags(f *pflag.FlagSet) {
	f.StringArrayVarP(&a.files, "file", "f", nil, "stack file (repeatable; - is standard input)")
	f.StringVarP(&a.project, "project-name", "p", "", "project name")
	f.StringArrayVar(&a.profiles, "profile", nil, "profile to enable (repeatable)")
	f.StringArrayVar(&a.envFiles, "env-file", nil, "environment file instead of .env (repeatable)")
	f.StringVar(&a.dir, "project-directory", "", "directory that relative paths start from")
	f.StringVar(&a.ansi, "ansi", "auto", "colours and cursor control: never, always, auto")
	f.StringVar(&a.progress, "progress", "auto", "progress output: auto, tty, plain, json, quiet")
	f.BoolVar(&a.all, "all-resources", false, "config prints what no service uses as well")
	f.BoolVar(&a.dryRun, "dry-run", false, "only print what would be done, as plan does")
	f.IntVar(&a.parallel, "parallel", -1, "accepted for compatibility; stack chooses by itself")
	f.BoolVar(&a.compatible, "compatibility", false, "accepted for compatibility")
	f.MarkHidden("parallel")
	f.MarkHidden("compatibility")
}

// checkGlobals completes the flags that every verb has from the environment and refuses
// words that they do not know.
func (a *app) checkGlobals(verb *cobra.Command) error {
	if a.dryRun && !canForetell(verb) {
		return fmt.Errorf("--dry-run is for %s", strings.Join(foretold(), ", "))
	}
	if a.all && verb.Name() != "config" {
		return errors.New("--all-resources is for config: what no service uses is not made")
	}
	if a.ansi == "auto" {
		a.ansi = cmp.Or(a.getenv("COMPOSE_ANSI"), a.ansi)
	}
	if a.progress == "auto" {
		a.progress = cmp.Or(a.getenv("COMPOSE_PROGRESS"), a.progress)
	}
	return errors.Join(oneOf("ansi", a.ansi, "never", "always", "auto"), oneOf("progress", a.progress, "auto", "tty", "plain", "json", "quiet"))
}

// turnedOn reads a variable of the environment that is a boolean.
func (a *app) turnedOn(name string) bool {
	on, _ := strconv.ParseBool(a.getenv(name))
	return on
}

func (a *app) specOptions() spec.Options {
	return spec.Options{
		Files: a.files, Dir: a.dir, Project: a.project, EnvFiles: a.envFiles,
		Profiles: a.profiles, Environ: os.Environ(),
	}
}

// loadNames loads the stack file for its names: a missing env file or secret is no
// obstacle.
func (a *app) loadNames(ctx context.Context) (*spec.Stack, error) {
	o := a.specOptions()
	o.NoEnvResolution = true
	return spec.Load(ctx, o)
}

// store finds the project that a verb is about: -p and COMPOSE_PROJECT_NAME name
// one whose state is known; otherwise the stack file does.
func (a *app) store(ctx context.Context) (*scheduler.Store, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New(needRoot(os.Args)) // rather than tell of nothing
	}
	name := a.project
	if name == "" && len(a.files) == 0 {
		name = a.getenv("COMPOSE_PROJECT_NAME")
	}
	if spec.IsProjectName(name) { // the stack file tells what is wrong with another
		if s := a.storeOf(name); s.Exists() {
			return s, nil
		}
	}
	if !slices.Contains(a.files, "-") { // can be read once only
		if n, err := spec.ProjectName(a.specOptions()); err == nil && a.storeOf(n).Exists() {
			return a.storeOf(n), nil
		}
	}
	st, err := a.loadNames(ctx)
	if err != nil {
		if spec.IsProjectName(name) && len(a.files) == 0 {
			return a.storeOf(name), nil // known by name only, and nothing is there
		}
		return nil, err
	}
	return a.storeOf(st.Name), nil
}

func (a *app) storeOf(project string) *scheduler.Store {
	return &scheduler.Store{Layout: a.layout, Project: project, IDMap: a.idMap.Try}
}

// connect returns a client of the project's controller, starting shim and
// controller if they do not run.
func (a *app) connect(ctx context.Context, s *scheduler.Store) (*api.Client, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New(needRoot(os.Args))
	}
	if err := s.CheckFormat(); err != nil {
		return nil, err
	}
	if err := s.Init(); err != nil {
		return nil, err
	}
	options, err := a.shimOptions(s)
	if err != nil {
		return nil, err
	}
	c, err := shim.Ensure(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("cannot start project %q: %w", s.Project, err)
	}
	c.Close()
	client := api.NewClient(s.RunDir())
	if err := a.awaitController(ctx, s, client); err != nil {
		return nil, err
	}
	return client, nil
}

// shimOptions say how the project's shim and controller are started: by the CLI
// at first, by the controller when the shim died.
func (a *app) shimOptions(s *scheduler.Store) (shim.StartOptions, error) {
	exe, err := os.Executable()
	if err != nil {
		return shim.StartOptions{}, err
	}
	return shim.StartOptions{
		Dir:        s.RunDir(),
		Controller: []string{exe, "controller", "--project-name", s.Project},
		Env:        controllerEnv(a.getenv),
		Cgroup:     "stack/" + s.Project + "/shim",
	}, nil
}

// controllerEnv is all that a controller sees of its starter's environment.
func controllerEnv(getenv func(string) string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, k := range []string{"STACK_ROOT", "STACK_DEBUG", "STACK_CDI_DIRS", "TZ"} {
		if v := getenv(k); v != "" {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// needRoot is the message with the exact command to type instead.
func needRoot(args []string) string {
	return "containers, networks and cgroups need root here; type instead:\n  " + withSudo(args)
}

func withSudo(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = shellQuote(arg)
	}
	return "sudo " + strings.Join(quoted, " ")
}

func shellQuote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_", r)
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// do sends a command to the project's controller, showing its progress. A
// controller that ended between two commands is started again.
func (a *app) do(ctx context.Context, s *scheduler.Store, cmd scheduler.Command) error {
	p := newProgress(a)
	return a.send(ctx, s, cmd, p.show)
}

func (a *app) send(ctx context.Context, s *scheduler.Store, cmd scheduler.Command, each func(scheduler.Reply)) error {
	for try := 0; ; try++ {
		client, err := a.connect(ctx, s)
		if err != nil {
			return err
		}
		err = client.Do(ctx, cmd, each)
		if !errors.Is(err, api.ErrGone) || try == 3 {
			return err
		}
	}
}

// vacate removes the run directory of a project that is down.
func (a *app) vacate(ctx context.Context, s *scheduler.Store) error {
	ctx, cancel := context.WithTimeout(ctx, vacatePatience)
	defer cancel()
	err := shim.Vacate(ctx, s.RunDir(), s.Exists)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // somebody has it up again
	}
	return err
}

// vacatePatience is how long a shim with nothing left to do may take to end.
const vacatePatience = 5 * time.Second

// colors reports whether w may get escape sequences.
func (a *app) colors(w io.Writer) bool {
	switch a.ansi {
	case "always":
		return true
	case "never":
		return false
	}
	return a.paintable(w) && a.getenv("NO_COLOR") == ""
}

// paintable says whether w is a terminal on which lines can be drawn over.
func (a *app) paintable(w io.Writer) bool {
	return isTerminal(w) && a.getenv("TERM") != "dumb" && a.ansi != "never"
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
