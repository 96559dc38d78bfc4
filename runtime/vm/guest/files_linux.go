package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"stack/runtime/native/transfer"
	"stack/runtime/vm/wire"
)

// maxFile bounds a file that is read whole.
const maxFile = 16 << 20

// files serves a request about the container's files.
func (g *Guest) files(ctx context.Context, s *wire.Stream, op wire.Op, f wire.Files) error {
	id, err := g.containerID()
	if err != nil {
		return err
	}
	root, err := g.runtime.Root(ctx, id)
	if err != nil {
		return err
	}
	defer root.Close()
	switch op {
	case wire.OpRead:
		err = readFile(s, root, f)
	case wire.OpPack:
		err = pack(ctx, s, root, f)
	case wire.OpUnpack:
		err = unpack(ctx, s, root, f)
	case wire.OpSync:
		err = syncFiles(ctx, s, root, f)
	default:
		err = fmt.Errorf("unknown request %q", op)
	}
	if err != nil {
		return err
	}
	return s.Send(wire.Message{Exit: &wire.Exit{}})
}

func readFile(s *wire.Stream, root *transfer.Root, f wire.Files) error {
	b, err := root.ReadFile(f.Path, maxFile)
	if err != nil {
		return err
	}
	if err := s.Send(wire.Message{Started: true}); err != nil {
		return err
	}
	w := s.Writer(wire.Stdout)
	_, err = w.Write(b)
	return errors.Join(err, w.Close())
}

func pack(ctx context.Context, s *wire.Stream, root *transfer.Root, f wire.Files) error {
	src, err := root.Source(f.Path, f.Follow)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := s.Send(wire.Message{Shape: &wire.Shape{Base: src.Base, Dir: src.Dir, Contents: src.Contents}}); err != nil {
		return err
	}
	top := "."
	if f.Archive && !src.Contents {
		top = src.Base
	}
	w := s.Writer(wire.Stdout)
	err = src.Pack(ctx, top, w)
	return errors.Join(err, w.Close())
}

func unpack(ctx context.Context, s *wire.Stream, root *transfer.Root, f wire.Files) error {
	find := root.Directory
	if f.Shape != nil {
		find = func(name string) (*transfer.Target, error) {
			return root.Target(name, &transfer.Source{Base: f.Shape.Base, Dir: f.Shape.Dir, Contents: f.Shape.Contents})
		}
	}
	at, err := find(f.Path)
	if err != nil {
		return err
	}
	defer at.Close()
	if err := s.Send(wire.Message{Started: true}); err != nil {
		return err
	}
	in := s.Reader(wire.Stdin)
	err = at.Unpack(ctx, in, transfer.UnpackOptions{
		Keep: f.Keep, Warn: func(text string) { s.Send(wire.Message{Warning: text}) },
	})
	if err == nil {
		_, err = io.Copy(io.Discard, in) // padding
	}
	return err
}

// syncFiles unpacks what changed beside the container, and syncs from there.
func syncFiles(ctx context.Context, s *wire.Stream, root *transfer.Root, f wire.Files) error {
	dir, err := os.MkdirTemp("/run", "sync-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	here, err := transfer.HostDirectory(dir)
	if err != nil {
		return err
	}
	defer here.Close()
	if err := unpack(ctx, s, here, wire.Files{Path: "/", Keep: true}); err != nil {
		return err
	}
	return root.Sync(ctx, f.Path, here, f.Names, transfer.SyncOptions{Compare: f.Compare, As: f.As})
}
