package scheduler

import (
	"context"
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
