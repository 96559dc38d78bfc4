package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"stack/scheduler"
	"stack/scheduler/api"
)

// follower has the controller follow the stack file while a session lasts, and shows
// what comes of it between the logs.
type follower struct {
	a     *app
	store *scheduler.Store
	src   *scheduler.LiveSource
	say   func(string)
	// edited is told after each edit that was carried out.
	edited func()

	mu     sync.Mutex
	waits  string // the ID of the edit that waits for consent
	asking bool   // somebody reads the keys
}

// run follows until ctx ends or the project is down. A controller that dies is
// replaced; the next one looks at the files first.
func (f *follower) run(ctx context.Context) {
	cmd := scheduler.Command{Verb: scheduler.VerbLive, Live: f.src}
	progress := newProgress(f.a)
	told := false
	for {
		err := f.a.send(ctx, f.store, cmd, func(r scheduler.Reply) {
			switch {
			case r.Live == nil:
				if told {
					progress.show(r)
				}
			case r.Live.Kind == scheduler.LiveEnabled:
				told = true
			default:
				told = true
				f.show(ctx, *r.Live)
			}
		})
		switch {
		case ctx.Err() != nil || err == nil:
			return
		case !errors.Is(err, api.ErrLost):
			f.say("cannot follow the stack file: " + err.Error())
			return
		}
	}
}

// show prints one report.
func (f *follower) show(ctx context.Context, r scheduler.LiveReport) {
	f.mu.Lock()
	f.waits = ""
	if r.Kind == scheduler.LiveWaits && !r.NeedsUp {
		f.waits = r.ID
	}
	f.mu.Unlock()
	f.say(f.text(r))
	switch r.Kind {
	case scheduler.LiveWaits:
		if !r.NeedsUp {
			f.ask(ctx)
		}
	case scheduler.LiveApplied:
		f.edited()
	}
}

func (f *follower) text(r scheduler.LiveReport) string {
	color := f.a.colors(f.a.stdout)
	problem := r.Problem.Text
	if color && r.Problem.Colored != "" {
		problem = r.Problem.Colored
	}
	var b strings.Builder
	switch r.Kind {
	case scheduler.LiveApplied:
		fmt.Fprintf(&b, "%s (%d ms)\n", paint(color, green, "stack file changed"), r.Took.Milliseconds())
		b.WriteString(indented(r.Plan))
	case scheduler.LiveRejected:
		fmt.Fprintf(&b, "%s, nothing is changed\n%s", paint(color, red, "stack file cannot be used"), problem)
	case scheduler.LiveSame:
		b.WriteString("stack file is what runs again")
	case scheduler.LiveFailed:
		fmt.Fprintf(&b, "%s\n%s", paint(color, red, "stack file was applied, but:"), problem)
	case scheduler.LiveWaits:
		fmt.Fprintf(&b, "%s: it would give the stack more of this machine, or lose data\n", paint(color, yellow, "stack file changed and waits"))
		for _, reason := range r.Reasons {
			fmt.Fprintf(&b, "  ! %s\n", plain(reason.String()))
		}
		b.WriteString(indented(r.Plan))
		b.WriteString(f.how(r.NeedsUp))
	}
	return strings.TrimRight(b.String(), "\n")
}

func (f *follower) how(needsUp bool) string {
	if needsUp || !isTerminal(f.a.stdin) {
		return "run `stack up` again to do it"
	}
	return "type y and Enter to do it, or run `stack up` again"
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + plain(strings.TrimRight(line, "\n")) + "\n")
	}
	return b.String()
}

// ask begins to read the keys, of a person only: whatever else standard input may be
// is not ours to take.
func (f *follower) ask(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in, ok := f.a.stdin.(*os.File)
	if f.asking || !ok || !isTerminal(f.a.stdin) {
		return
	}
	f.asking = true
	signal.Ignore(syscall.SIGTTIN) // in the background a read fails instead
	go func() {
		f.listen(ctx, in)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.asking = false
	}()
}

func (f *follower) listen(ctx context.Context, in io.Reader) {
	lines := bufio.NewScanner(in)
	for lines.Scan() && ctx.Err() == nil {
		f.mu.Lock()
		id := f.waits
		f.mu.Unlock()
		word := strings.ToLower(strings.TrimSpace(lines.Text()))
		if id == "" || word != "y" && word != "yes" {
			continue
		}
		cmd := scheduler.Command{Verb: scheduler.VerbApprove, Approve: id}
		if err := f.a.send(ctx, f.store, cmd, quietly); err != nil && ctx.Err() == nil {
			f.say("stack: " + err.Error())
		}
	}
}
