package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"stack/runtime/shim"
	"stack/scheduler"
)

// attachment is a container's own streams, connected through its project's shim.
type attachment struct {
	client *shim.Client
	stdin  *os.File // or its terminal's master; nil without input
	done   chan struct{}
}

// attachTo copies what the container writes from now on to this process's own
// output. Its end closes done.
func (a *app) attachTo(ctx context.Context, s *scheduler.Store, i *scheduler.Instance, input bool) (*attachment, error) {
	client, err := shim.Dial(s.RunDir())
	if err != nil {
		return nil, err
	}
	t := &attachment{client: client, done: make(chan struct{})}
	if err := t.connect(ctx, a, i, input); err != nil {
		client.Close()
		return nil, fmt.Errorf("cannot attach to container %s: %w", i.Name, err)
	}
	return t, nil
}

func (t *attachment) connect(ctx context.Context, a *app, i *scheduler.Instance, input bool) error {
	var pumps []*pump
	output := func(to io.Writer) (*os.File, error) {
		r, w, err := os.Pipe()
		if err == nil {
			pumps = append(pumps, startPump(to, r))
		}
		return w, err
	}
	stdout, err := output(a.stdout)
	if err != nil {
		return err
	}
	defer stdout.Close() // the shim has its own by then
	request := shim.Attach{Stdout: stdout, Stdin: input}
	if !i.TTY {
		if request.Stderr, err = output(a.stderr); err != nil {
			return err
		}
		defer request.Stderr.Close()
	}
	if t.stdin, err = t.client.Attach(ctx, i.ID, request); err != nil {
		return err
	}
	go func() {
		defer close(t.done)
		for _, p := range pumps {
			<-p.done
		}
	}()
	return nil
}

// lost reports whether the streams ended with the shim and not with the program.
func (t *attachment) lost(ctx context.Context) bool {
	_, err := t.client.Hello(ctx)
	return errors.Is(err, shim.ErrGone)
}

// close lets go of the streams; input keeps working until its file is closed.
func (t *attachment) close() { t.client.Close() }

// revival is how long a new shim is waited for.
const revival = 5 * time.Second

// attachAgain connects to the shim that took over after another died, or that it
// starts itself where the controller died too.
func (a *app) attachAgain(ctx context.Context, s *scheduler.Store, i *scheduler.Instance) (*attachment, error) {
	ctx, cancel := context.WithTimeout(ctx, revival)
	defer cancel()
	for {
		_, err := a.connect(ctx, s)
		if err == nil {
			var t *attachment
			if t, err = a.attachTo(ctx, s, i, false); err == nil { // the input outlives the shim
				return t, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
