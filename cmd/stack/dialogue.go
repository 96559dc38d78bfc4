package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"stack/runtime"
	"stack/runtime/native"
	"stack/scheduler"
)

// dialogue is this process's terminal or pipes connected to a container's own
// program, until that ends or the person detaches.
type dialogue struct {
	a        *app
	store    *scheduler.Store
	instance *scheduler.Instance
	input    bool
	// proxy passes signals on to a program that has no terminal.
	proxy bool
	// detach is the sequence of keys that ends the dialogue; empty has none.
	detach []byte
	// begin, unless nil, starts the program once everything is connected.
	begin func(context.Context) error

	streams  *attachment
	detached chan struct{}
}

// run returns the ended container, or nil when the person detached.
func (d *dialogue) run(ctx context.Context) (*scheduler.Instance, error) {
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	changes, err := watchInstances(watching, d.store)
	if err != nil {
		return nil, err
	}
	if d.streams, err = d.a.attachTo(ctx, d.store, d.instance, d.input); err != nil {
		return nil, err
	}
	defer func() { d.streams.close() }()
	d.detached = make(chan struct{})
	if d.instance.TTY {
		screen, err := d.a.openScreen(d.input)
		if err != nil {
			return nil, err
		}
		defer screen.close()
		if d.streams.stdin != nil {
			d.a.followSize(watching, d.streams.stdin)
		}
	}
	if d.begin != nil {
		if err := d.begin(ctx); err != nil {
			return nil, err
		}
	}
	if d.streams.stdin != nil {
		go d.feedKeys(d.streams.stdin)
	}
	if d.proxy && !d.instance.TTY {
		defer forwardSignals(d.signal)()
		ctx = watching // what would end it is the program's
	}
	return d.wait(ctx, changes)
}

// feedKeys copies input until its end, which a program on pipes is told of.
func (d *dialogue) feedKeys(to *os.File) {
	err := copyKeys(to, &keys{from: d.a.stdin, sequence: d.detach})
	switch {
	case errors.Is(err, errDetached):
		close(d.detached)
	case !d.instance.TTY:
		to.Close()
	}
}

func (d *dialogue) signal(sig syscall.Signal) {
	cmd := scheduler.Command{Verb: scheduler.VerbKill, Containers: []string{d.instance.ID}, Signal: strconv.Itoa(int(sig))}
	err := d.a.send(context.Background(), d.store, cmd, quietly)
	if err != nil && d.stillLive() {
		fmt.Fprintf(d.a.stderr, "stack: cannot pass on signal %d: %v\n", sig, err)
	}
}

// stillLive tells a signal that could not be sent from one that came too late.
func (d *dialogue) stillLive() bool {
	st, err := d.a.runtimes(d.store, native.Options{}).State(context.Background(), d.instance.ID)
	return err == nil && st.Status == runtime.Running
}

func quietly(scheduler.Reply) {}

func (d *dialogue) wait(ctx context.Context, changes <-chan []*scheduler.Instance) (*scheduler.Instance, error) {
	open := d.streams.done
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-d.detached:
			return nil, nil
		case <-open:
			open = nil // the program may have closed them and go on
			if d.streams.lost(ctx) {
				again, err := d.a.attachAgain(ctx, d.store, d.instance)
				if err != nil {
					continue // its end is recorded in any case
				}
				d.streams.close()
				d.streams, open = again, again.done
			}
		case list, ok := <-changes:
			if !ok {
				return nil, errors.New("lost sight of the containers")
			}
			end, err := d.ended(list)
			if end != nil && open != nil {
				<-open // everything it wrote
			}
			if end != nil || err != nil {
				return end, err
			}
		}
	}
}

// ended returns the container if this run of it is over.
func (d *dialogue) ended(list []*scheduler.Instance) (*scheduler.Instance, error) {
	for _, i := range list {
		if i.ID != d.instance.ID {
			continue
		}
		again := !d.instance.Started.IsZero() && !i.Started.Equal(d.instance.Started)
		if again || i.Status() == "exited" || i.Status() == "restarting" {
			return i, nil
		}
		return nil, nil
	}
	return nil, fmt.Errorf("container %s was removed", d.instance.Name)
}

// code turns a container's end into this process's.
func code(i *scheduler.Instance) error {
	if i == nil || i.Exit == nil || i.Exit.Code == 0 {
		return nil
	}
	if i.Exit.Unknown {
		return fmt.Errorf("the exit code of container %s is unknown: its shim died with it", i.Name)
	}
	return exitError(i.Exit.Code)
}
