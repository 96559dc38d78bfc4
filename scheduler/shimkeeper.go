package scheduler

import (
	"context"
	"errors"
	"os"

	"stack/runtime/shim"
)

// ShimKeeper is the Keeper that a real shim is.
type ShimKeeper struct{ *shim.Keeper }

var _ Keeper = ShimKeeper{}

// Stdio makes the FIFOs and hands their reading ends to the shim.
func (k ShimKeeper) Stdio(ctx context.Context, r StdioRequest) (Stdio, error) {
	s, err := shim.OpenStdio(r.Dir, int(r.User.UID), int(r.User.GID), r.Stdin)
	if err != nil {
		return Stdio{}, err
	}
	out := Stdio{Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr}
	s.Stdin, s.Stdout, s.Stderr = nil, nil, nil // the caller's from here on
	defer s.Close()
	cfg := logConfig(r.LogPath, r.Log)
	cfg.StdinOnce = r.StdinOnce
	// The request needs the shim's ends only.
	if err := k.Keeper.Stdio(ctx, r.ID, cfg, s); err != nil {
		out.Close()
		return Stdio{}, err
	}
	return out, nil
}

// Terminal hands a terminal's master to the shim.
func (k ShimKeeper) Terminal(ctx context.Context, r TerminalRequest) error {
	return k.Keeper.Terminal(ctx, r.ID, logConfig(r.LogPath, r.Log), r.Master)
}

// Adopt names a child of the shim.
func (k ShimKeeper) Adopt(ctx context.Context, id string, pid int, exit string) error {
	return k.Keeper.Adopt(ctx, shim.Process{ID: id, Pid: pid, Exit: exit})
}

// Readopt reopens the FIFOs of a container, unless the shim has them, and names its
// process. A terminal is gone for good: with its master the kernel hung it up.
func (k ShimKeeper) Readopt(ctx context.Context, r ReadoptRequest) error {
	var failed error
	if !r.TTY && !k.HasStreams(r.ID) {
		failed = k.reopen(ctx, r)
	}
	p := shim.Process{ID: r.ID, Pid: r.Pid, StartTime: r.StartTime, Exit: r.Exit}
	return errors.Join(failed, k.Keeper.Adopt(ctx, p))
}

func (k ShimKeeper) reopen(ctx context.Context, r ReadoptRequest) error {
	s, err := shim.ReopenStdio(r.Dir)
	if err != nil {
		return err
	}
	defer s.Close()
	cfg := logConfig(r.LogPath, r.Log)
	cfg.StdinOnce = r.StdinOnce
	return k.Keeper.Stdio(ctx, r.ID, cfg, s)
}

// Held returns a duplicate of what is kept under name, or nil.
func (k ShimKeeper) Held(name string) *os.File {
	f, err := k.Keeper.Held(name)
	if err != nil {
		return nil
	}
	return f
}

func logConfig(path string, l LogConfig) shim.LogConfig {
	if l.Discard {
		path = ""
	}
	return shim.LogConfig{Path: path, MaxSize: l.MaxSize, MaxFiles: l.MaxFiles}
}
