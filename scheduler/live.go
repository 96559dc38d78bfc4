package scheduler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/scheduler/watch"
	"stack/spec"
)

// While somebody watches, or `up --live` asked for it, the saved stack file is the
// wish: each change of a file that its load reads loads it again and, if it is good
// and Widens has nothing against it, edits the wish.
//
//	Files ─▶ Load (in a process of its own) ─▶ Widens ─▶ Prepare ─▶ wish
//	             │ bad: told, nothing changes    │ waits: told, for Approve or a new up
//
// What was loaded is what is judged, shown and carried out: no file is read twice.

// LiveSource is how a stack was loaded, so that it can be loaded again.
type LiveSource struct {
	// Dir is the working directory of the command; the others are its flags.
	Dir                       string
	Files, EnvFiles, Profiles []string `json:",omitempty"`
	ProjectDir                string   `json:",omitempty"`
	// Services are those that the command named; none: all.
	Services []string `json:",omitempty"`
	NoDeps   bool     `json:",omitempty"`
	Strict   bool     `json:",omitempty"`
	// Runtime is the command line's for services that name none.
	Runtime string `json:",omitempty"`
	// Environ are the variables of the command's environment that the files named
	// then, Others the names of those that they did not: what one of these holds
	// was never meant for the stack.
	Environ []string `json:",omitempty"`
	Others  []string `json:",omitempty"`
	// Around are those that pulling images needs; no file is told of them.
	Around []string `json:",omitempty"`
}

// LiveLoad is what a load found.
type LiveLoad struct {
	Stack *spec.Stack // nil when it failed
	// Problem is why it failed, or what it warns of.
	Problem LiveProblem
	// Reads are the files to watch.
	Reads []string
	// Reasons are those that the load itself has for asking a person.
	Reasons []Reason
	// NeedsUp says that only a new up can know what is missing.
	NeedsUp bool
}

// LiveProblem is a text for people, plain and with colours.
type LiveProblem struct{ Text, Colored string }

func (p *LiveProblem) Error() string { return p.Text }

// LiveLoader loads stacks again. Who can write the files may not be trusted: a link
// leads to no file outside the stack's folder but to those that were read before.
type LiveLoader interface {
	Load(ctx context.Context, src LiveSource, approved *spec.Stack) (LiveLoad, error)
	// Prepare sees that the machine has what the services need, and pulls images.
	// What it finds missing is a *LiveProblem.
	Prepare(ctx context.Context, src LiveSource, st *spec.Stack, services []string) error
}

// live follows one source.
type live struct {
	c      *Controller
	source LiveSource
	files  *watch.Files
	tell   func(LiveReport)
	agreed chan agreement

	bad     string    // the text of the last report of a bad edit
	waits   *liveEdit // for consent
	reads   []string
	working context.CancelFunc // of the edit that is being carried out
}

// liveEdit is one that was judged.
type liveEdit struct {
	id      string
	stack   *spec.Stack
	base    *spec.Stack // that it was judged against
	plan    string
	reasons []Reason
	needsUp bool
	began   time.Time
}

// agreement is a person's consent to an edit.
type agreement struct {
	id     string
	answer chan error
}

func (c *Controller) newLive(src LiveSource, tell func(LiveReport)) *live {
	l := &live{c: c, source: src, agreed: make(chan agreement), working: func() {}}
	l.tell = func(r LiveReport) {
		c.emitLive(r)
		tell(r)
	}
	l.files = watch.NewFiles(&c.inotify, func(text string) { c.Log.Warn("cannot be told of changes of the stack's files", "reason", text) })
	return l
}

// run follows until ctx ends.
func (l *live) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() { l.working() }()
	defer l.await(nil)
	l.c.spawn(func() { l.files.Run(ctx) })
	l.look(ctx, l.c.Now())
	l.tell(LiveReport{Kind: LiveEnabled})
	for {
		select {
		case <-ctx.Done():
			return
		case began := <-l.files.C:
			l.look(ctx, began)
		case a := <-l.agreed:
			a.answer <- l.consent(ctx, a.id)
		}
	}
}

// look loads until the files to watch are those that were watched meanwhile.
func (l *live) look(ctx context.Context, began time.Time) {
	for range 4 {
		base, deliberate := l.c.present()
		if deliberate {
			return
		}
		load, err := l.c.Live.Load(ctx, l.source, base)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.reject(LiveProblem{Text: err.Error() + "\n"})
			return
		}
		more := missing(load.Reads, l.reads)
		if len(more) > 0 || len(load.Reads) != len(l.reads) {
			l.reads = load.Reads
			l.files.Set(ctx, l.reads)
		}
		if len(more) > 0 {
			continue // it may have changed before it was watched
		}
		l.judge(ctx, load, base, began)
		return
	}
	l.reject(LiveProblem{Text: "the stack's files do not come to rest\n"})
}

// present is the stack that edits are held against; true when the project goes.
func (c *Controller) present() (*spec.Stack, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.want.Stack, c.want.Down
}

func (l *live) reject(p LiveProblem) {
	l.await(nil)
	if p.Text != l.bad {
		l.bad = p.Text
		l.tell(LiveReport{Kind: LiveRejected, Problem: p})
	}
}

// judge decides what becomes of a load.
func (l *live) judge(ctx context.Context, load LiveLoad, base *spec.Stack, began time.Time) {
	if load.Stack == nil && len(load.Reasons) == 0 {
		l.reject(load.Problem)
		return
	}
	wasBad, waited := l.bad != "", l.waits
	l.bad = ""
	l.await(nil)
	e := &liveEdit{stack: load.Stack, base: base, reasons: load.Reasons, needsUp: load.NeedsUp, began: began}
	if e.stack != nil {
		var err error
		if e.stack, err = l.c.keepReturns(e.stack); err != nil {
			l.reject(LiveProblem{Text: err.Error() + "\n"})
			return
		}
		old, _ := stackID(base)
		if e.id, _ = stackID(e.stack); e.id == old && len(e.reasons) == 0 {
			if wasBad || waited != nil {
				l.tell(LiveReport{Kind: LiveSame})
			}
			return
		}
		e.reasons = append(e.reasons, Widens(base, e.stack)...)
		plan, err := l.c.foreseeEdit(e.stack, l.source)
		if err != nil {
			l.reject(LiveProblem{Text: err.Error() + "\n"})
			return
		}
		e.plan = plan.String()
	} else {
		e.id = fmt.Sprint(e.reasons)
	}
	if len(e.reasons) == 0 {
		l.carryOut(ctx, e)
		return
	}
	l.await(e)
	if waited == nil || waited.id != e.id || waited.needsUp != e.needsUp {
		l.tell(LiveReport{Kind: LiveWaits, ID: e.id, Plan: e.plan, Reasons: e.reasons, NeedsUp: e.needsUp})
	}
}

// await has e, unless nil, wait for consent.
func (l *live) await(e *liveEdit) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if e != nil || l.c.waits == l.waits { // else it is another's by now
		l.c.waits = e
	}
	l.waits = e
}

// consent carries out the edit that waits, if it is the one that was shown.
func (l *live) consent(ctx context.Context, id string) error {
	e := l.waits
	base, _ := l.c.present()
	switch {
	case e == nil:
		return errors.New("no edit waits")
	case e.id != id || e.base != base:
		return errors.New("the stack changed meanwhile: look at the plan again")
	case e.needsUp:
		return errors.New("only a new `stack up` can do this")
	}
	l.await(nil)
	l.carryOut(ctx, e)
	return nil
}

// carryOut makes an edit the wish and tells, in the background, how that went.
func (l *live) carryOut(ctx context.Context, e *liveEdit) {
	services := l.source.inScope(e.stack)
	if err := l.c.Live.Prepare(ctx, l.source, e.stack, services); err != nil {
		var p *LiveProblem
		if !errors.As(err, &p) {
			p = &LiveProblem{Text: err.Error() + "\n"}
		}
		l.reject(*p)
		return
	}
	about, err := l.c.applyEdit(e.stack, e.base, l.source)
	if err != nil {
		l.reject(LiveProblem{Text: err.Error() + "\n"})
		return
	}
	if e.plan != "" {
		l.tell(LiveReport{Kind: LiveApplied, Plan: e.plan, Took: l.c.Now().Sub(e.began)})
	}
	l.working()
	var working context.Context
	working, l.working = context.WithCancel(ctx)
	l.c.spawn(func() {
		err := l.c.follow(working, Command{Verb: VerbUp}, about)
		if err != nil && working.Err() == nil {
			l.tell(LiveReport{Kind: LiveFailed, Problem: LiveProblem{Text: err.Error() + "\n"}})
		}
	})
}

// stackID stands for everything that a load gives but how it came to it.
func stackID(st *spec.Stack) (string, error) {
	if st == nil {
		st = &spec.Stack{Project: &types.Project{}}
	}
	p := *st.Project
	p.Environment = nil
	text, err := spec.Encode(&spec.Stack{Project: &p, Digests: st.Digests})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}

// SameStack reports whether two loads gave the same, but for where the files lie.
func SameStack(a, b *spec.Stack) (bool, error) {
	if a == nil || b == nil {
		return a == b, nil
	}
	one, err := stackID(a)
	if err != nil {
		return false, err
	}
	other, err := stackID(b)
	return one == other, err
}

func missing(wanted, have []string) []string {
	known := map[string]bool{}
	for _, path := range have {
		known[path] = true
	}
	var out []string
	for _, path := range wanted {
		if !known[path] {
			out = append(out, path)
		}
	}
	return out
}
