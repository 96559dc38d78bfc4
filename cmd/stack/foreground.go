package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"stack/runtime/log"
	"stack/scheduler"
	"stack/scheduler/api"
	"stack/spec"
)

// session is one `up` in the foreground: it shows logs, and ends when all shown
// containers have ended, when one did and that aborts, or on Ctrl-C.
type session struct {
	a     *app
	o     *upOptions
	store *scheduler.Store
	view  *logView
	begin time.Time
	// services are those whose logs are shown and whose end is awaited.
	services []string

	cancelUp context.CancelFunc
	unfollow context.CancelFunc       // of the live stack file
	shown    map[string]chan struct{} // by run: closed when the run has ended
	ended    map[string]bool
	edited   chan struct{}       // the live stack file was applied
	later    <-chan time.Time    // when to look again whether the session is over
	first    *scheduler.Instance // the first that ended, for the abort flags
}

func foreground(ctx context.Context, a *app, s *scheduler.Store, st *spec.Stack, o *upOptions) error {
	view, err := newLogView(a, s)
	if err != nil {
		return err
	}
	a.plain = true
	view.prefix, view.timestamps = !o.noPrefix, o.timestamps
	view.color = view.color && !o.noColor
	if err := s.Init(); err != nil {
		return err
	}
	f := &session{a: a, o: o, store: s, view: view, begin: time.Now(), shown: map[string]chan struct{}{}, ended: map[string]bool{}, edited: make(chan struct{}, 1)}
	f.services = f.attached(st)
	return f.run(ctx, st)
}

// attached are the services whose logs are shown.
func (f *session) attached(st *spec.Stack) []string {
	o := f.o
	selected := o.cmd.Services
	if len(selected) == 0 || o.attachDeps {
		selected = st.ServiceNames()
	}
	if len(o.attach) > 0 {
		selected = o.attach
	}
	return slices.DeleteFunc(slices.Clone(selected), func(name string) bool {
		svc := st.Services[name]
		return slices.Contains(o.noAttach, name) || svc.Attach != nil && !*svc.Attach && !slices.Contains(o.attach, name)
	})
}

func (f *session) run(ctx context.Context, st *spec.Stack) error {
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer f.view.close()
	defer stopWatching()
	changes, err := watchInstances(watching, f.store)
	if err != nil {
		return err
	}
	upping, cancelUp := context.WithCancel(ctx)
	defer cancelUp()
	f.cancelUp, f.unfollow = cancelUp, func() {}
	up := make(chan error, 1)
	go func() { up <- f.a.do(upping, f.store, f.o.cmd) }()
	started, announced := false, false
	for {
		select {
		case <-ctx.Done():
			return f.interrupted()
		case err := <-up:
			if err != nil && ctx.Err() == nil {
				explain(f.a, f.store, st, f.o.cmd.Services)
				return err
			}
			started = err == nil
			up = nil
			if started && f.o.watch {
				f.watch(watching)
			}
			if started && f.o.source != nil {
				f.follow(watching)
			}
			if list, err := f.store.Current(time.Now()); err == nil && started {
				f.observe(watching, list)
			}
		case <-f.later:
		case <-f.edited:
			f.again()
		case list, ok := <-changes:
			if !ok {
				return errors.New("lost sight of the containers")
			}
			if !announced {
				announced = f.announce(list)
			}
			f.observe(watching, list)
		}
		if done, err := f.finished(ctx, started); done {
			return err
		}
	}
}

// watch brings changed files into the services while the session lasts.
func (f *session) watch(ctx context.Context) {
	f.view.wg.Go(func() {
		if err := f.a.watch(ctx, f.store, f.o.cmd.Services, f.view.note); err != nil {
			f.view.note("cannot watch: " + err.Error())
		}
	})
}

// follow has the stack file followed while the session lasts.
func (f *session) follow(ctx context.Context) {
	ctx, f.unfollow = context.WithCancel(ctx)
	live := &follower{a: f.a, store: f.store, src: f.o.source, say: f.view.note, edited: func() {
		select {
		case f.edited <- struct{}{}:
		default:
		}
	}}
	f.view.wg.Go(func() { live.run(ctx) })
}

// again takes up the services of an edited stack.
func (f *session) again() {
	if w, err := f.store.LoadWish(); err == nil && w.Stack != nil {
		f.services = f.attached(w.Stack)
	}
}

func (f *session) announce(list []*scheduler.Instance) bool {
	var names []string
	services := map[string]bool{}
	for _, i := range list {
		if f.shows(i) && i.Hook == nil {
			names = append(names, f.view.shortName(i))
			services[i.Service] = true
		}
	}
	if len(services) < len(f.services) {
		return false
	}
	fmt.Fprintln(f.a.stderr, "Attaching to "+strings.Join(names, ", "))
	return true
}

func (f *session) shows(i *scheduler.Instance) bool {
	return (!i.OneOff || i.Hook != nil) && slices.Contains(f.services, i.Service)
}

// observe begins to show new runs and ends those that are over.
func (f *session) observe(ctx context.Context, list []*scheduler.Instance) {
	f.view.widen(slices.DeleteFunc(slices.Clone(list), func(i *scheduler.Instance) bool { return !f.shows(i) }))
	for _, i := range list {
		if !f.shows(i) || i.Started.IsZero() {
			continue
		}
		run := i.ID + i.Started.String()
		running := i.Status() == "running" || i.Status() == "paused"
		if !running && i.Finished.Before(f.begin) {
			continue
		}
		done := f.shown[run]
		if done == nil {
			done = make(chan struct{})
			f.shown[run] = done
			since := i.Started
			if since.Before(f.begin) {
				since = f.begin
			}
			f.view.follow(ctx, i, log.ReadOptions{Since: since, Done: done}, func() {
				if end := f.reload(i); end != nil && end.Exit != nil {
					f.view.say(i, fmt.Sprintf("%s exited with code %d", f.view.shortName(i), end.Exit.Code))
				}
			})
		}
		if !running && !f.ended[run] {
			f.ended[run] = true
			close(done)
			if i.Hook == nil && (f.first == nil || f.first.Exit.Code == 0 && i.Exit.Code != 0 && f.o.abortOnFail) {
				f.first = i
			}
		}
	}
}

// reload reads one instance again.
func (f *session) reload(i *scheduler.Instance) *scheduler.Instance {
	list, err := f.store.Current(time.Now())
	if err != nil {
		return nil
	}
	for _, l := range list {
		if l.ID == i.ID {
			return l
		}
	}
	return i
}

// finished decides whether the session is over.
func (f *session) finished(ctx context.Context, started bool) (bool, error) {
	if f.first != nil && (f.o.abortOnExit || f.o.abortOnFail && f.first.Exit.Code != 0) {
		return true, f.abort(ctx)
	}
	if !started {
		return false, nil
	}
	if next, err := f.store.NextRuns(time.Now()); err != nil || f.awaits(next) {
		return err != nil, err
	}
	list, err := f.store.Current(time.Now())
	if err != nil {
		return true, err
	}
	for _, i := range list {
		if f.shows(i) && i.Hook == nil && i.Status() != "exited" {
			return false, nil
		}
	}
	if f.works(ctx) {
		f.later = time.After(worksLook)
		return false, nil
	}
	return true, nil
}

// awaits reports whether one of the services runs again by schedule.
func (f *session) awaits(next map[string]time.Time) bool {
	return slices.ContainsFunc(f.services, func(name string) bool { _, ok := next[name]; return ok })
}

// worksLook is how soon a session whose containers have all ended looks whether
// more are to come.
const worksLook = 50 * time.Millisecond

// works reports whether the controller is about to start any of the services: an
// edit, or another command, may replace the last one that ran.
func (f *session) works(ctx context.Context) bool {
	if !f.store.Exists() {
		return false
	}
	p, err := api.NewClient(f.store.RunDir()).Plan(ctx)
	if err != nil {
		return false // it ended as well
	}
	for _, name := range f.services {
		if s, ok := p.Services[name]; ok && !s.Done && s.Failed == "" {
			return true
		}
	}
	return false
}

// abort stops everything because one container ended.
func (f *session) abort(ctx context.Context) error {
	code := 0
	if f.o.abortOnFail {
		code = f.first.Exit.Code
	}
	fmt.Fprintf(f.a.stderr, "Aborting on container exit...\n")
	if err := f.stop(ctx); err != nil {
		return err
	}
	if f.o.exitCodeFrom != "" {
		list, err := f.store.Current(time.Now())
		if err != nil {
			return err
		}
		for _, i := range list {
			if i.Service == f.o.exitCodeFrom && i.Exit != nil && !i.OneOff {
				code = i.Exit.Code
			}
		}
	}
	if code != 0 {
		return exitError(code)
	}
	return nil
}

// oneCtrlC is within which signals are one: timeout(1) and other parents send theirs
// to the process and to its group.
const oneCtrlC = 200 * time.Millisecond

// interrupted stops gracefully; a second Ctrl-C kills.
func (f *session) interrupted() error {
	fmt.Fprintln(f.a.stderr, "Gracefully stopping... (press Ctrl+C again to force)")
	stopping, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- f.stop(stopping) }()
	if over, err := f.secondCtrlC(stopped); over {
		if err != nil {
			return err
		}
		return exitError(130)
	}
	cancel() // killing tells its own progress
	kill := scheduler.Command{Verb: scheduler.VerbKill, Services: f.o.cmd.Services}
	if err := f.a.do(context.Background(), f.store, kill); err != nil {
		return err
	}
	return exitError(130)
}

// secondCtrlC returns when all is stopped, with how that went, or at a further signal.
func (f *session) secondCtrlC(stopped <-chan error) (over bool, err error) {
	select {
	case err := <-stopped:
		return true, err
	case <-time.After(oneCtrlC):
	}
	again, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	select {
	case err := <-stopped:
		return true, err
	case <-again.Done():
		return false, nil
	}
}

// stop stops what this up was asked for; dependencies stay if services were named.
func (f *session) stop(ctx context.Context) error {
	f.cancelUp() // its progress is of no interest any more
	f.unfollow() // it would tell the same
	return f.a.do(ctx, f.store, scheduler.Command{Verb: scheduler.VerbStop, Services: f.o.cmd.Services, Timeout: f.o.cmd.Timeout})
}
