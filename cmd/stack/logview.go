package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"stack/runtime/log"
	"stack/runtime/log/notify"
	"stack/scheduler"
)

// logView prints the logs of several containers, a prefix before each line.
// Container stdout goes to stdout and stderr to stderr.
type logView struct {
	a          *app
	store      *scheduler.Store
	color      bool
	prefix     bool
	timestamps bool

	notifier *notify.Notifier

	mu     sync.Mutex // one line at a time; guards what follows
	width  int
	colors map[string]string
	wg     sync.WaitGroup
}

var palette = []string{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}

func newLogView(a *app, s *scheduler.Store) (*logView, error) {
	n, err := notify.New()
	if err != nil {
		return nil, err
	}
	return &logView{a: a, store: s, prefix: true, color: a.colors(a.stdout), notifier: n, colors: map[string]string{}}, nil
}

func (v *logView) close() {
	v.wg.Wait()
	v.notifier.Close()
}

// shortName is a container's name without its project.
func (v *logView) shortName(i *scheduler.Instance) string {
	return strings.TrimPrefix(i.Name, v.store.Project+"-")
}

// widen makes room for the names of all containers about to be shown.
func (v *logView) widen(list []*scheduler.Instance) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, i := range list {
		v.width = max(v.width, len(v.shortName(i)))
	}
}

// follow prints a container's log from o.Since on, in the background, until ctx
// ends or done is closed; then calls after.
func (v *logView) follow(ctx context.Context, i *scheduler.Instance, o log.ReadOptions, after func()) {
	o.Follow, o.Notifier = true, v.notifier
	v.wg.Add(1)
	go func() {
		defer v.wg.Done()
		r, err := log.Open(v.store.LogPath(i.ID), o)
		if err == nil {
			v.copy(ctx, i, r)
			r.Close()
		}
		if after != nil && ctx.Err() == nil {
			after()
		}
	}()
}

// copy prints what r gives until its end.
func (v *logView) copy(ctx context.Context, i *scheduler.Instance, r *log.Reader) {
	l := newLines(func(e log.Entry) { v.print(i, e) })
	defer l.flush()
	for {
		e, err := r.Next(ctx)
		if err != nil {
			return
		}
		l.add(e)
	}
}

// merge prints what the containers' logs hold now, by time.
func (v *logView) merge(ctx context.Context, list []*scheduler.Instance, o log.ReadOptions) error {
	var readers []*log.Reader
	var lines []*lines
	for _, i := range list {
		r, err := log.Open(v.store.LogPath(i.ID), o)
		if errors.Is(err, fs.ErrNotExist) {
			continue // never started
		}
		if err != nil {
			return err
		}
		defer r.Close()
		readers = append(readers, r)
		lines = append(lines, newLines(func(e log.Entry) { v.print(i, e) }))
	}
	m := log.Merge(readers...)
	for {
		n, e, err := m.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		lines[n].add(e)
	}
	for _, l := range lines {
		l.flush()
	}
	return nil
}

// print writes one line.
func (v *logView) print(i *scheduler.Instance, e log.Entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var b strings.Builder
	if v.prefix {
		name := v.shortName(i)
		b.WriteString(paint(v.color, v.colorOf(i), fmt.Sprintf("%-*s | ", v.width+1, name)))
	}
	if v.timestamps {
		b.WriteString(e.Time.Format(time.RFC3339Nano) + " ")
	}
	b.WriteString(e.Text)
	b.WriteByte('\n')
	out := v.a.stdout
	if e.Stream == "stderr" {
		out = v.a.stderr
	}
	io.WriteString(out, b.String())
}

// say prints a line of ours between the logs.
func (v *logView) say(i *scheduler.Instance, text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintln(v.a.stdout, paint(v.color, v.colorOf(i), text))
}

// note prints a line of ours that is about no container.
func (v *logView) note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintln(v.a.stdout, text)
}

// colorOf gives each container the next colour of the palette.
func (v *logView) colorOf(i *scheduler.Instance) string {
	if v.colors[i.Name] == "" {
		v.colors[i.Name] = palette[len(v.colors)%len(palette)]
	}
	return v.colors[i.Name]
}

// lines joins the pieces of long lines, per stream.
type lines struct {
	emit    func(log.Entry)
	pending map[string]log.Entry
}

func newLines(emit func(log.Entry)) *lines {
	return &lines{emit: emit, pending: map[string]log.Entry{}}
}

func (l *lines) add(e log.Entry) {
	if p, ok := l.pending[e.Stream]; ok {
		p.Text += e.Text
		e = log.Entry{Time: p.Time, Stream: e.Stream, Partial: e.Partial, Text: p.Text}
	}
	if e.Partial && len(e.Text) < 1<<20 {
		l.pending[e.Stream] = e
		return
	}
	delete(l.pending, e.Stream)
	l.emit(e)
}

func (l *lines) flush() {
	for _, e := range l.pending {
		l.emit(e)
	}
	clear(l.pending)
}
