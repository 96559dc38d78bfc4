package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stack/runtime/shim"
	"stack/scheduler"
	"stack/scheduler/api"
)

// readyLook is how often a command that waits for the controller asks the shim
// whether there will be one.
const readyLook = 250 * time.Millisecond

// awaitController returns when the controller answers: at once, most of the time, or
// after a stopped one goes on. One that cannot start is an error that says why.
func (a *app) awaitController(ctx context.Context, s *scheduler.Store, client *api.Client) error {
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		for asking.Err() == nil {
			select {
			case <-asking.Done():
			case <-time.After(readyLook):
				if why := a.cannotStart(asking, s); why != nil {
					cancel(why)
				}
			}
		}
	}()
	_, err := client.Version(asking)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if asking.Err() != nil {
		return context.Cause(asking)
	}
	if errors.Is(err, api.ErrGone) {
		return nil // it ended a moment ago: the caller's own request finds out, and retries
	}
	return err
}

// cannotStart tells why the controller ends as soon as it starts, nil if it does not.
func (a *app) cannotStart(ctx context.Context, s *scheduler.Store) error {
	c, err := shim.Dial(s.RunDir())
	if err != nil {
		return nil
	}
	defer c.Close()
	h, err := c.Hello(ctx)
	if err != nil || h.Failures < shim.Hopeless {
		return nil
	}
	log := filepath.Join(s.RunDir(), "shim.log")
	return fmt.Errorf("the controller of project %q does not start: %s", s.Project, lastWords(log))
}

// lastWords is the last error that a controller printed.
func lastWords(log string) string {
	b, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	at := strings.LastIndex("\n"+string(b), "\nstack: ")
	if at < 0 {
		return "see " + log
	}
	line, _, _ := strings.Cut(string(b[at:]), "\n")
	return strings.TrimPrefix(line, "stack: ")
}
