package vm

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"stack/runtime/vm/wire"
)

// Shape is what a copy is of.
type Shape = wire.Shape

// Tree is a tree of files on its way out of a machine.
type Tree struct {
	Shape
	stream *wire.Stream
	*conversation
}

// open asks for files and gives the stream that follows the answer.
func (r *Runtime) open(ctx context.Context, id string, op wire.Op, f wire.Files) (*Tree, error) {
	c, err := r.dial(ctx, id)
	if err != nil {
		return nil, err
	}
	m, err := c.ask(wire.Request{Op: op, Files: &f})
	if err == nil && m.Failure != nil {
		err = m.Failure.Err()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	t := &Tree{stream: wire.Resume(c.Conn, 1), conversation: c}
	if m.Shape != nil {
		t.Shape = *m.Shape
		t.Base = path.Base(path.Clean("/" + t.Base)) // the guest is not trusted
	}
	return t, nil
}

// end waits for the guest's last word.
func (t *Tree) end(warn func(string)) error {
	for {
		var m wire.Message
		if err := t.stream.Receive(&m); err != nil {
			return fmt.Errorf("the machine ended before the copy did: %w", noEOF(err))
		}
		switch {
		case m.Failure != nil:
			return m.Failure.Err()
		case m.Warning != "" && warn != nil:
			warn(m.Warning)
		case m.Exit != nil:
			return nil
		}
	}
}

// ReadFile gives a file of a machine's container.
func (r *Runtime) ReadFile(ctx context.Context, id, name string) ([]byte, error) {
	t, err := r.open(ctx, id, wire.OpRead, wire.Files{Path: name})
	if err != nil {
		return nil, err
	}
	defer t.Close()
	b, err := io.ReadAll(io.LimitReader(t.stream.Reader(wire.Stdout), 16<<20))
	return b, errors.Join(err, t.end(nil))
}

// Pack opens a tree of a machine's container; WriteTo gives it as a tar stream.
func (r *Runtime) Pack(ctx context.Context, id, name string, follow, archive bool) (*Tree, error) {
	return r.open(ctx, id, wire.OpPack, wire.Files{Path: name, Follow: follow, Archive: archive})
}

// WriteTo implements io.WriterTo.
func (t *Tree) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, t.stream.Reader(wire.Stdout))
	if err != nil {
		return n, err
	}
	return n, t.end(nil)
}

// Unpack finds where a tree goes in a machine's container; without a shape it is an
// archive from elsewhere. ReadFrom takes the tar stream.
func (r *Runtime) Unpack(ctx context.Context, id, name string, s *Shape, keep bool) (*Tree, error) {
	return r.open(ctx, id, wire.OpUnpack, wire.Files{Path: name, Shape: s, Keep: keep})
}

// Fill writes the tree that in holds; warn is told of what is left out.
func (t *Tree) Fill(in io.Reader, warn func(string)) error {
	w := t.stream.Writer(wire.Stdin)
	_, err := io.Copy(w, in)
	w.Close()
	if ended := t.end(warn); ended != nil {
		return ended // and that is why nothing could be written
	}
	return err
}

// Sync makes names below the directory target of a machine's container what they are
// below dir of this machine; see native's transfer.Root.Sync.
func (r *Runtime) Sync(ctx context.Context, id, target, dir string, names []string, as string, compare bool) error {
	t, err := r.open(ctx, id, wire.OpSync, wire.Files{Path: target, Names: names, As: as, Compare: compare})
	if err != nil {
		return err
	}
	defer t.Close()
	in, out := io.Pipe()
	go func() { out.CloseWithError(packNames(out, dir, names)) }()
	defer in.Close()
	return t.Fill(in, nil)
}

// packNames writes those that exist, and the directories above them, as a tar stream.
func packNames(w io.Writer, dir string, names []string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	out := tar.NewWriter(w)
	top, err := os.Stat(dir)
	if err != nil {
		return err
	}
	done := map[string]bool{}
	if err := writeEntry(out, root, ".", top, done); err != nil {
		return err
	}
	for _, name := range names {
		if err := packName(out, root, name, done); err != nil {
			return err
		}
	}
	return out.Close()
}

func packName(out *tar.Writer, root *os.Root, name string, done map[string]bool) error {
	info, err := root.Lstat(name)
	if err != nil || done[name] {
		return nil // it is gone
	}
	if above := path.Dir(name); above != "." {
		if err := packName(out, root, above, done); err != nil {
			return err
		}
	}
	return writeEntry(out, root, name, info, done)
}

func writeEntry(out *tar.Writer, root *os.Root, name string, info os.FileInfo, done map[string]bool) error {
	done[name] = true
	link := ""
	switch info.Mode().Type() {
	case 0, os.ModeDir:
	case os.ModeSymlink:
		var err error
		if link, err = root.Readlink(name); err != nil {
			return nil // changed meanwhile: its watch tells again
		}
	default:
		return nil
	}
	hdr, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	hdr.Name = name
	if !info.Mode().IsRegular() {
		return out.WriteHeader(hdr)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	if err := out.WriteHeader(hdr); err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(io.MultiReader(f, zeros{}), hdr.Size))
	return err
}

// zeros pad a file that became shorter while it was read.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
