package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"stack/runtime/image"
	"stack/scheduler"
)

// board shows a command's progress in place on a terminal: one row an object, the
// latest word about it, and how long it took.
type board struct {
	w     io.Writer
	fd    int
	color bool
	rows  []*boardRow
	drawn int // lines on the screen now
	last  time.Time
}

type boardRow struct {
	title, name, word string
	note              string // a bar while it is under way
	layers            []image.Progress
	begun             time.Time
	took              time.Duration
	failed            bool
}

// newBoard returns nil unless w is a terminal.
func newBoard(w io.Writer, color bool) *board {
	f, ok := w.(*os.File)
	if !ok || !isTerminal(w) {
		return nil
	}
	return &board{w: w, fd: int(f.Fd()), color: color}
}

// show takes in one event and draws.
func (b *board) show(ev *scheduler.Event) {
	name := title(ev.Type)
	at := slices.IndexFunc(b.rows, func(r *boardRow) bool { return r.title == name && r.name == ev.Name })
	if at < 0 {
		at = len(b.rows)
		b.rows = append(b.rows, &boardRow{title: name, name: ev.Name, begun: ev.Time})
	}
	r := b.rows[at]
	r.word, r.took, r.failed = ev.Progress, ev.Time.Sub(r.begun), ev.Progress == "Error" || ev.Progress == "Interrupted"
	b.draw()
}

// note changes what stands beside a row that is there, and the layers below it.
func (b *board) note(title, name, note string, layers []image.Progress) {
	for _, r := range b.rows {
		if r.title == title && r.name == name {
			r.note, r.layers, r.took = note, layers, time.Since(r.begun)
		}
	}
	if time.Since(b.last) >= frameTime { // what is left out, the next word draws
		b.draw()
	}
}

// frameTime is the least time between two pictures of what is under way.
const frameTime = 80 * time.Millisecond

// done reports whether the row's word is final.
func (r *boardRow) done() bool { return !strings.HasSuffix(r.word, "ing") }

// draw rewrites the rows in one go, each over what was there.
func (b *board) draw() {
	width, height, err := term.GetSize(b.fd)
	if err != nil || width < 20 || height < 5 {
		width, height = 80, 24
	}
	lines := b.lines(width, height-2)
	var out strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", b.drawn)
	}
	for _, l := range lines {
		out.WriteString("\r" + l + "\x1b[K\n")
	}
	out.WriteString("\x1b[J")
	b.drawn, b.last = len(lines), time.Now()
	io.WriteString(b.w, out.String())
}

// lines are what is on the screen: a head and at most so many others. What does not
// fit is counted, not shown: the rows still at work and the newest come first, then
// their layers.
func (b *board) lines(width, most int) []string {
	done := 0
	for _, r := range b.rows {
		if r.done() {
			done++
		}
	}
	shown := b.fit(most)
	head := fmt.Sprintf("[+] %d/%d", done, len(b.rows))
	if hidden := len(b.rows) - len(shown); hidden > 0 {
		head += fmt.Sprintf(" (%d not shown)", hidden)
	}
	out := []string{head}
	room := most - len(shown)
	for _, r := range shown {
		out = append(out, r.text(width, b.color))
		if !r.done() {
			layers := layerLines(r.layers, width, room)
			room -= len(layers)
			out = append(out, layers...)
		}
	}
	return out
}

func (b *board) fit(most int) []*boardRow {
	if len(b.rows) <= most {
		return b.rows
	}
	var out []*boardRow
	for _, want := range []bool{false, true} {
		for n := len(b.rows) - 1; n >= 0 && len(out) < most; n-- {
			if b.rows[n].done() == want {
				out = append(out, b.rows[n])
			}
		}
	}
	slices.SortFunc(out, func(x, y *boardRow) int { return slices.Index(b.rows, x) - slices.Index(b.rows, y) })
	return out
}

// text is one row, cut to the terminal's width.
func (r *boardRow) text(width int, color bool) string {
	mark := "⠿"
	switch {
	case r.failed:
		mark = "✘"
	case r.done():
		mark = "✔"
	}
	left := fmt.Sprintf(" %s %s %s ", mark, r.title, r.name)
	if r.note != "" {
		left += r.note + " "
	}
	right := fmt.Sprintf("%5.1fs", r.took.Seconds())
	room := width - len([]rune(left)) - len(r.word) - len(right) - 1
	if room < 1 {
		keep := max(1, width-len(r.word)-len(right)-3)
		left = string([]rune(left)[:min(keep, len([]rune(left)))]) + " "
		room = 1
	}
	return left + paint(color, progressColor(r.word), r.word) + strings.Repeat(" ", room) + right
}
