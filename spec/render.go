package spec

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// width is how much of a source line is shown around the caret.
const width = 120

const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	reset  = "\x1b[0m"
)

// Render prints every diagnostic with its source line, a caret and the hint.
// Control characters of the source are shown as U+FFFD.
func (ds Diagnostics) Render(w io.Writer, color bool) error {
	paint := func(code, s string) string {
		if !color || s == "" {
			return s
		}
		return code + s + reset
	}
	for _, d := range ds {
		if _, err := io.WriteString(w, d.render(paint)); err != nil {
			return err
		}
	}
	return nil
}

func (d Diagnostic) render(paint func(code, s string) string) string {
	head := red
	if d.Severity == Warning {
		head = yellow
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", paint(head+bold, d.String()))
	if d.source != "" {
		text, col := window(d.source, d.Col)
		fmt.Fprintf(&b, "%5d | %s\n", d.Line, text)
		if col > 0 {
			fmt.Fprintf(&b, "      | %s%s\n", strings.Repeat(" ", col-1), paint(head, "^"))
		}
	}
	if d.Hint != "" {
		fmt.Fprintf(&b, "        %s\n", paint(cyan, printable(d.Hint)))
	}
	return b.String()
}

// window cuts a long line around column col and gives the caret's new column.
func window(line string, col int) (string, int) {
	runes := []rune(printable(line))
	col = min(col, len(runes)+1)
	start := 0
	if col > width-20 {
		start = col - width/2
	}
	end := min(len(runes), start+width)
	text := string(runes[start:end])
	if start > 0 {
		text, col = "…"+text, col-start+1
	}
	if end < len(runes) {
		text += "…"
	}
	return text, col
}

// printable makes text of a stack file safe for a terminal: no escape sequences,
// no bidirectional tricks. Tabs and newlines become blanks.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
