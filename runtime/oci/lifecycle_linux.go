package oci

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

func start(c *call, f *flag.FlagSet, args []string) error {
	id, err := parseID(f, args)
	if err != nil {
		return err
	}
	return explain(id, c.native().Start(context.Background(), id))
}

func pause(c *call, f *flag.FlagSet, args []string) error {
	id, err := parseID(f, args)
	if err != nil {
		return err
	}
	return explain(id, c.native().Pause(context.Background(), id))
}

func resume(c *call, f *flag.FlagSet, args []string) error {
	id, err := parseID(f, args)
	if err != nil {
		return err
	}
	return explain(id, c.native().Resume(context.Background(), id))
}

func kill(c *call, f *flag.FlagSet, args []string) error {
	all := f.Bool("all", false, "every process of the container")
	alias(f, "a", "all")
	if err := parse(f, args, 1, 2); err != nil {
		return err
	}
	sig, err := parseSignal(f.Arg(1))
	if err != nil {
		return err
	}
	return explain(f.Arg(0), c.native().Kill(context.Background(), f.Arg(0), sig, *all))
}

// The real-time signals, as the C library counts them.
const sigRTMin, sigRTMax = 34, 64

// parseSignal reads a number or a name with or without SIG; "" is SIGTERM.
func parseSignal(name string) (syscall.Signal, error) {
	if name == "" {
		return unix.SIGTERM, nil
	}
	if n, err := strconv.Atoi(name); err == nil {
		if n < 0 || n > sigRTMax {
			return 0, fmt.Errorf("unknown signal %q", name)
		}
		return syscall.Signal(n), nil
	}
	short := strings.TrimPrefix(strings.ToUpper(name), "SIG")
	if n := unix.SignalNum("SIG" + short); n != 0 {
		return n, nil
	}
	for prefix, base := range map[string]int{"RTMIN": sigRTMin, "RTMAX": sigRTMax} {
		rest, ok := strings.CutPrefix(short, prefix)
		if !ok {
			continue
		}
		offset, err := strconv.Atoi(rest)
		if rest == "" {
			err = nil
		}
		if n := base + offset; err == nil && n >= sigRTMin && n <= sigRTMax {
			return syscall.Signal(n), nil
		}
	}
	return 0, fmt.Errorf("unknown signal %q", name)
}

func remove(c *call, f *flag.FlagSet, args []string) error {
	force := f.Bool("force", false, "kill it first, and do not mind if there is none")
	alias(f, "f", "force")
	id, err := parseID(f, args)
	if err != nil {
		return err
	}
	err = c.native().Delete(context.Background(), id, *force)
	if *force && errors.Is(err, runtime.ErrNotFound) {
		return nil
	}
	return explain(id, err)
}
