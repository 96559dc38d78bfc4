package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"stack/runtime/native"
)

// ttyFlags are how exec and run choose between a terminal and pipes.
type ttyFlags struct {
	terminal, noTerminal, interactive bool
}

func (t *ttyFlags) add(f *pflag.FlagSet) {
	f.BoolVarP(&t.interactive, "interactive", "i", true, "keep standard input open")
	f.BoolVarP(&t.terminal, "tty", "t", false, "a terminal even where this is none (the default where it is one)")
	f.BoolVarP(&t.noTerminal, "no-tty", "T", false, "no terminal")
}

// olderNames are what versions of Docker Compose call some flags of exec and run.
func olderNames(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "no-TTY":
		name = "no-tty"
	case "volumes", "labels":
		name = strings.TrimSuffix(name, "s")
	}
	return pflag.NormalizedName(name)
}

// wanted decides; a terminal needs one on this side to type into.
func (t *ttyFlags) wanted(a *app) (bool, error) {
	switch {
	case t.noTerminal:
		return false, nil
	case t.terminal && t.interactive && !isTerminal(a.stdin):
		return false, errors.New("the input device is not a TTY")
	case t.terminal:
		return true, nil
	}
	return isTerminal(a.stdin) && isTerminal(a.stdout), nil
}

// screen is this process's terminal while it shows a program's.
type screen struct {
	in    *os.File
	state *term.State // before raw mode; nil when input is not read
}

// openScreen lets every key through to the program until close.
func (a *app) openScreen(input bool) (*screen, error) {
	in, ok := a.stdin.(*os.File)
	if !ok || !input || !isTerminal(a.stdin) {
		return &screen{}, nil
	}
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("cannot set up the terminal: %w", err)
	}
	return &screen{in, state}, nil
}

// close puts the terminal back as it was; more than once does no harm.
func (s *screen) close() {
	if s.state != nil {
		term.Restore(int(s.in.Fd()), s.state)
		s.state = nil
	}
}

// screenSize is this terminal's size, 0 where there is none.
func (a *app) screenSize() (rows, columns uint16) {
	for _, v := range []any{a.stdout, a.stdin} {
		if f, ok := v.(*os.File); ok {
			if w, h, err := term.GetSize(int(f.Fd())); err == nil {
				return uint16(h), uint16(w)
			}
		}
	}
	return 0, 0
}

// followSize gives a program's terminal this one's size, now and whenever it
// changes, until ctx ends.
func (a *app) followSize(ctx context.Context, master *os.File) {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGWINCH)
	set := func() {
		if rows, columns := a.screenSize(); rows > 0 {
			native.SetTerminalSize(master, rows, columns) // it may have ended
		}
	}
	set()
	go func() {
		defer signal.Stop(changes)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changes:
				set()
			}
		}
	}()
}
