package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
	"stack/spec"
)

type upOptions struct {
	cmd          scheduler.Command
	detach       bool
	scale        []string
	waitSeconds  int
	attach       []string
	noAttach     []string
	attachDeps   bool
	noColor      bool
	noPrefix     bool
	timestamps   bool
	abortOnExit  bool
	abortOnFail  bool
	exitCodeFrom string
	quietPull    bool
	pull         string
	yes          bool
	build        buildChoice
	watch        bool
	source       *scheduler.LiveSource // of a foreground that follows the file
	live         bool
	noLive       bool
	runtime      string
}

func newUp(a *app) *cobra.Command {
	o := &upOptions{cmd: scheduler.Command{Verb: scheduler.VerbUp}}
	cmd := &cobra.Command{
		Use:   "up [SERVICE...]",
		Short: "Create and start services",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.cmd.Services = args
			return runUp(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	c := &o.cmd
	f.BoolVarP(&o.detach, "detach", "d", false, "return when everything is started")
	f.BoolVar(&c.Wait, "wait", false, "return when everything is healthy (implies -d)")
	f.IntVar(&o.waitSeconds, "wait-timeout", 0, "seconds --wait waits at most")
	f.BoolVar(&c.NoDeps, "no-deps", false, "leave dependencies alone")
	f.BoolVar(&c.NoStart, "no-start", false, "create only")
	f.BoolVar(&c.ForceRecreate, "force-recreate", false, "replace containers even if nothing changed")
	f.BoolVar(&c.NoRecreate, "no-recreate", false, "keep containers even if something changed")
	f.BoolVar(&c.AlwaysDeps, "always-recreate-deps", false, "replace dependencies too")
	f.BoolVarP(&c.RenewVolumes, "renew-anon-volumes", "V", false, "fresh anonymous volumes for replaced containers")
	f.BoolVar(&c.RemoveOrphans, "remove-orphans", false, "remove containers of services not in the file")
	strictFlag(f, c)
	f.StringArrayVar(&o.scale, "scale", nil, "SERVICE=NUM replicas")
	f.StringArrayVar(&o.attach, "attach", nil, "show logs of these services only")
	f.StringArrayVar(&o.noAttach, "no-attach", nil, "do not show logs of these services")
	f.BoolVar(&o.attachDeps, "attach-dependencies", false, "show logs of dependencies too")
	f.BoolVar(&o.noColor, "no-color", false, "plain log prefixes")
	f.BoolVar(&o.noPrefix, "no-log-prefix", false, "no log prefixes")
	f.BoolVar(&o.timestamps, "timestamps", false, "show times")
	f.BoolVar(&o.abortOnExit, "abort-on-container-exit", false, "stop all when one exits")
	f.BoolVar(&o.abortOnFail, "abort-on-container-failure", false, "stop all when one fails")
	f.StringVar(&o.exitCodeFrom, "exit-code-from", "", "return this service's exit code (implies --abort-on-container-exit)")
	f.BoolVar(&o.quietPull, "quiet-pull", false, "no pull progress")
	f.StringVar(&o.pull, "pull", "policy", "always, missing, never, policy")
	f.BoolVarP(&o.yes, "yes", "y", false, "answer questions with yes")
	f.BoolVarP(&o.watch, "watch", "w", false, "bring changed files into the services, as develop.watch says")
	f.BoolVar(&o.live, "live", false, "follow the stack file also with -d: what is saved is done")
	f.BoolVar(&o.noLive, "no-live", false, "do not follow the stack file in the foreground")
	runtimeFlag(f, &o.runtime)
	o.build.flags(cmd)
	timeoutFlag(cmd, c)
	cmd.MarkFlagsMutuallyExclusive("live", "no-live")
	cmd.MarkFlagsMutuallyExclusive("live", "no-start")
	for _, other := range []string{"detach", "wait", "no-start"} {
		cmd.MarkFlagsMutuallyExclusive("watch", other)
	}
	f.Bool("menu", false, "accepted for compatibility: there is none")
	f.MarkHidden("menu")
	for _, pair := range incompatible() {
		cmd.MarkFlagsMutuallyExclusive(pair[:]...)
	}
	return cmd
}

// incompatible are the pairs of flags of up that contradict each other.
func incompatible() [][2]string {
	pairs := [][2]string{
		{"force-recreate", "no-recreate"}, {"always-recreate-deps", "no-recreate"}, {"renew-anon-volumes", "no-recreate"},
		{"abort-on-container-exit", "abort-on-container-failure"}, {"no-build", "watch"},
	}
	for _, session := range []string{"abort-on-container-exit", "abort-on-container-failure", "exit-code-from", "attach", "attach-dependencies"} {
		pairs = append(pairs, [2]string{"detach", session}, [2]string{"wait", session})
	}
	return pairs
}

func runUp(ctx context.Context, a *app, o *upOptions) error {
	st, err := a.loadFor(ctx, o.cmd.Services...)
	if err != nil {
		return err
	}
	useRuntime(st, o.runtime)
	if err := o.prepare(st); err != nil {
		return err
	}
	if a.dryRun {
		return a.foretell(ctx, st, o.cmd)
	}
	if err := a.preflight(ctx, scaled(st, o.cmd.Scale), o.cmd.Services, o.cmd); err != nil {
		return err
	}
	if err := a.ensureImages(ctx, st, o.cmd.Services, o.cmd.NoDeps, o.pull, o.quietPull, o.build); err != nil {
		return err
	}
	if err := o.follow(a, st); err != nil {
		return err
	}
	if err := a.askOfVolumes(st, &o.cmd, o.yes); err != nil {
		return err
	}
	s := a.storeOf(st.Name)
	if o.detach || o.cmd.Wait || o.cmd.NoStart {
		if err := a.do(ctx, s, o.cmd); err != nil {
			explain(a, s, st, o.cmd.Services)
			return err
		}
		return nil
	}
	return foreground(ctx, a, s, st, o)
}

// follow has the stack file followed: by the controller alone for --live with -d, else
// while the session lasts, unless that ends with a container: an edit may replace it.
func (o *upOptions) follow(a *app, st *spec.Stack) (err error) {
	detached := o.detach || o.cmd.Wait || o.cmd.NoStart
	wanted := o.live || !detached && !o.noLive && !o.abortOnExit && !o.abortOnFail
	switch {
	case !a.canLive(st) && o.live:
		return errors.New("cannot follow a stack file that comes from standard input")
	case !wanted || !a.canLive(st):
		return nil
	}
	src, err := a.liveSource(st, o.cmd, o.runtime)
	if detached {
		o.cmd.Live = src
	} else {
		o.source = src
	}
	return err
}

// prepare completes the command from flags and stack file.
func (o *upOptions) prepare(st *spec.Stack) error {
	var err error
	if o.cmd.Spec, err = spec.Encode(st); err != nil {
		return err
	}
	if o.cmd.Scale, err = parseScale(o.scale); err != nil {
		return err
	}
	if o.exitCodeFrom != "" {
		if _, ok := st.Services[o.exitCodeFrom]; !ok {
			return st.NoService(o.exitCodeFrom)
		}
		o.abortOnExit = !o.abortOnFail
	}
	for _, name := range slices.Concat(o.attach, o.noAttach) {
		if _, ok := st.Services[name]; !ok {
			return st.NoService(name)
		}
	}
	if o.watch {
		if watched, err := scheduler.Watched(st, o.cmd.Services); err != nil || len(watched) == 0 {
			return cmp.Or(err, scheduler.ErrNothingToWatch)
		}
	}
	orphans(st, &o.cmd)
	o.cmd.WaitTimeout = time.Duration(o.waitSeconds) * time.Second
	return nil
}

// orphans reads the variables, of the shell or of .env, that decide about them.
func orphans(st *spec.Stack, c *scheduler.Command) {
	set := func(name string) bool {
		on, _ := strconv.ParseBool(st.Environment[name])
		return on
	}
	c.RemoveOrphans = c.RemoveOrphans || set("COMPOSE_REMOVE_ORPHANS")
	c.IgnoreOrphans = set("COMPOSE_IGNORE_ORPHANS")
}

func parseScale(args []string) (map[string]int, error) {
	scale := map[string]int{}
	for _, arg := range args {
		name, num, ok := strings.Cut(arg, "=")
		n, err := strconv.Atoi(num)
		if !ok || err != nil || n < 0 {
			return nil, fmt.Errorf("cannot read --scale %q: want SERVICE=NUM", arg)
		}
		scale[name] = n
	}
	return scale, nil
}
