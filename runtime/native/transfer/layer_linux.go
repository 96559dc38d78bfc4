package transfer

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// LayerOptions say how a tree is packed as a layer of an image.
type LayerOptions struct {
	// Upper says that the tree is the upper directory of an overlay: what it hides
	// of the layers below becomes whiteouts, as image-spec's layer.md has them.
	Upper bool
	// Skip names files, by their path in the tree without a slash before it, that
	// are left out, unless they are directories. May be nil.
	Skip func(name string) bool
}

// PackLayer writes the content of the directory s as a layer: extended attributes
// are kept, file capabilities without the user namespace that they are for.
func (s *Source) PackLayer(ctx context.Context, w io.Writer, o LayerOptions) error {
	return s.pack(".", &packer{ctx: ctx, root: s.root, tar: tar.NewWriter(w), links: map[fileID]string{}, layer: &o})
}

// Like takes over another tree, as one with r's ids.
func (r *Root) Like(tree *Root) *Root { return &Root{dir: tree.dir, uids: r.uids, gids: r.gids} }

const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// layered writes what is no file of the layer, and completes the header of what is.
func (p *packer) layered(fd int, hdr *tar.Header, st *unix.Stat_t) (done bool, err error) {
	kind := st.Mode & unix.S_IFMT
	switch {
	case kind != unix.S_IFDIR && p.layer.Skip != nil && p.layer.Skip(hdr.Name):
		return true, nil
	case p.layer.Upper && kind == unix.S_IFCHR && st.Rdev == 0:
		return true, p.mark(path.Join(path.Dir(hdr.Name), whiteoutPrefix+path.Base(hdr.Name)))
	case kind != unix.S_IFREG && kind != unix.S_IFDIR:
		return false, nil
	}
	return false, p.attributes(fd, hdr)
}

// mark writes the empty file that hides something.
func (p *packer) mark(name string) error {
	if err := p.tar.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Format: tar.FormatPAX}); err != nil {
		return fmt.Errorf("cannot copy %s: %w", name, err)
	}
	return nil
}

// attributes adds extended attributes as PAX records. Those of overlayfs are its
// own business.
func (p *packer) attributes(fd int, hdr *tar.Header) error {
	names, err := listXattr(fd)
	if err != nil {
		return fmt.Errorf("cannot read the attributes of %s: %w", hdr.Name, err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "user.") && name != capability || strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		value, err := getXattr(fd, name)
		if err != nil {
			return fmt.Errorf("cannot read the attributes of %s: %w", hdr.Name, err)
		}
		if name == capability {
			value = withoutRoot(value)
		}
		if hdr.PAXRecords == nil {
			hdr.PAXRecords = map[string]string{}
		}
		hdr.PAXRecords["SCHILY.xattr."+name] = string(value)
	}
	return nil
}

// capability is where file capabilities are kept: struct vfs_ns_cap_data of the
// kernel's capability.h, whose third revision names the root of a user namespace.
const capability = "security.capability"

func withoutRoot(value []byte) []byte {
	const revisionMask, revision2, revision3, size3 = 0xff000000, 0x02000000, 0x03000000, 24
	if len(value) != size3 {
		return value
	}
	magic := binary.LittleEndian.Uint32(value)
	if magic&revisionMask != revision3 {
		return value
	}
	out := binary.LittleEndian.AppendUint32(nil, magic&^revisionMask|revision2)
	return append(out, value[4:20]...)
}

func listXattr(fd int) ([]string, error) {
	size, err := unix.Listxattr(fdPath(fd), nil)
	if size == 0 || errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	buf := make([]byte, max(size, 0))
	if err == nil {
		size, err = unix.Listxattr(fdPath(fd), buf)
	}
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(buf[:size]), "\x00"), "\x00"), nil
}

func getXattr(fd int, name string) ([]byte, error) {
	size, err := unix.Getxattr(fdPath(fd), name, nil)
	buf := make([]byte, max(size, 0))
	if err == nil && size > 0 {
		size, err = unix.Getxattr(fdPath(fd), name, buf)
	}
	if err != nil {
		return nil, err
	}
	return buf[:size], nil
}

// isOpaque says whether a directory of an upper hides the one below it.
func isOpaque(fd int) bool {
	for _, name := range []string{"trusted.overlay.opaque", "user.overlay.opaque"} {
		if value, err := getXattr(fd, name); err == nil && string(value) == "y" {
			return true
		}
	}
	return false
}
