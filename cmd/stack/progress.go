package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"stack/scheduler"
)

// progress prints what a command does, a line an event, on standard error.
type progress struct {
	a    *app
	mode string
	// color is set for a person's terminal.
	color bool
	board *board // in place of lines, on a terminal
}

func newProgress(a *app) *progress {
	p := &progress{a: a, mode: a.progress, color: a.colors(a.stderr)}
	if p.mode == "tty" || p.mode == "auto" && a.paintable(a.stderr) && !a.plain {
		p.board = newBoard(a.stderr, p.color)
	}
	return p
}

// show prints one reply.
func (p *progress) show(r scheduler.Reply) {
	switch {
	case p.mode == "json":
		if line, ok := lineOf(r); ok {
			json.NewEncoder(p.a.stderr).Encode(line)
		}
	case r.Warning != "":
		fmt.Fprintln(p.a.stderr, paint(p.color, yellow, "warning: "+plainLines(r.Warning)))
	case p.mode == "quiet" || r.Event == nil || r.Event.Progress == "":
	case p.board != nil:
		p.board.show(r.Event)
	default:
		ev := r.Event
		fmt.Fprintf(p.a.stderr, " %s %s %s \n", title(ev.Type), ev.Name, paint(p.color, progressColor(ev.Progress), ev.Progress))
	}
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func progressColor(word string) string {
	switch {
	case word == "Error", word == "Interrupted":
		return red
	case strings.HasSuffix(word, "ing"):
		return blue
	}
	return green
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "34"
)

func paint(on bool, code, s string) string {
	if !on || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
