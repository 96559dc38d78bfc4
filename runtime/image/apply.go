package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

const (
	whiteoutPrefix = ".wh."
	whiteoutMeta   = ".wh..wh." // of aufs; all but the opaque marker mean nothing here
	whiteoutOpaque = ".wh..wh..opq"
)

// ErrHostile is wrapped by the errors about a layer that tries to write outside
// its directory or to exhaust the machine.
var ErrHostile = errors.New("refused")

// Limits bound what one layer may unpack to.
type Limits struct {
	// Entries is the number of files, links and directories.
	Entries int
	// Bytes bounds both the archive without compression and the sum of the files'
	// sizes, holes included.
	Bytes int64
}

// DefaultLimits let every sensible image pass.
var DefaultLimits = Limits{Entries: 2_000_000, Bytes: 64 << 30}

// Applied tells what Apply did.
type Applied struct {
	Entries int
	Bytes   int64
	// Implied are directories that the archive leaves out although it has files in
	// them. They were made 0755 and owned by the caller, parents first.
	Implied []string
	// Skipped are device nodes that this user may not make.
	Skipped []string
}

// Apply unpacks a layer's tar archive into dir, which exists and is empty, as a
// lower layer of overlayfs: whiteouts become character devices 0:0, or an
// attribute where those are refused, and opaque directories get overlay.opaque.
// See "Representing Changes" in the OCI image specification's layer.md.
//
// Nothing outside dir is read or written, whatever the archive says. On an error
// the content of dir is undefined. Errors: ErrHostile.
func Apply(ctx context.Context, dir string, archive io.Reader, limits Limits) (Applied, error) {
	a, err := newApplier(dir, limits)
	if err != nil {
		return Applied{}, err
	}
	defer a.close()
	r := tar.NewReader(&bounded{ctx: ctx, r: archive, left: limits.Bytes})
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Applied{}, fmt.Errorf("cannot read layer: %w", err)
		}
		if err := a.entry(h, r); err != nil {
			return Applied{}, fmt.Errorf("cannot unpack %q: %w", h.Name, err)
		}
	}
	if err := a.finishDirectories(); err != nil {
		return Applied{}, err
	}
	return a.done, nil
}

// count accounts for one entry.
func (a *applier) count(h *tar.Header) error {
	a.done.Entries++
	if a.done.Entries > a.limits.Entries {
		return fmt.Errorf("%w: the layer has more than %d entries", ErrHostile, a.limits.Entries)
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		if h.Size < 0 || h.Size > a.limits.Bytes-a.done.Bytes {
			return fmt.Errorf("%w: the layer's files are larger than %d bytes", ErrHostile, a.limits.Bytes)
		}
		a.done.Bytes += h.Size
	}
	return nil
}

// entry unpacks one entry; body gives its content.
func (a *applier) entry(h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if err := a.count(h); err != nil {
		return err
	}
	name, err := entryName(h.Name)
	if err != nil {
		return err
	}
	base := path.Base(name)
	switch {
	case name == ".":
		return a.rootEntry(h)
	case base == whiteoutOpaque:
		return a.opaque(path.Dir(name))
	case strings.HasPrefix(base, whiteoutMeta):
		return nil
	case strings.HasPrefix(base, whiteoutPrefix):
		return a.whiteout(path.Dir(name), strings.TrimPrefix(base, whiteoutPrefix))
	}
	return a.create(name, h, body)
}

func (a *applier) rootEntry(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir {
		return fmt.Errorf("%w: the root must be a directory", ErrHostile)
	}
	a.directories.add(".", h)
	return nil
}

// entryName gives the path below the layer's root that an archive's name means.
func entryName(name string) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("%w: the name has a %q", ErrHostile, "..")
		}
	}
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if clean == "" {
		return ".", nil
	}
	return clean, nil
}

// directoryList remembers the directories whose times and modes are set last,
// because making files in them changes the one and may need another mode.
type directoryList struct {
	headers map[string]*tar.Header
	order   []string
}

func (l *directoryList) add(name string, h *tar.Header) {
	if l.headers == nil {
		l.headers = map[string]*tar.Header{}
	}
	if _, known := l.headers[name]; !known {
		l.order = append(l.order, name)
	}
	l.headers[name] = h
}

// isSparse says whether the entry has holes.
func isSparse(h *tar.Header) bool {
	_, pax := h.PAXRecords["GNU.sparse.major"]
	_, old := h.PAXRecords["GNU.sparse.map"]
	return h.Typeflag == tar.TypeGNUSparse || pax || old
}

// bounded reads no more than left bytes and fails on the next one; it also ends
// with ctx.
type bounded struct {
	ctx  context.Context
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, fmt.Errorf("%w: there is more data than the limit allows", ErrHostile)
	}
	return n, err
}
