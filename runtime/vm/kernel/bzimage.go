package kernel

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/klauspost/compress/zstd"
)

// header is what the boot protocol tells of an x86 kernel (Documentation/arch/x86/boot.rst).
type header struct {
	version string
	payload []byte // the compressed vmlinux
}

var errNoHeader = errors.New("no header of the x86 boot protocol")

func parseHeader(b []byte) (header, error) {
	const (
		setupSects, magic, protocol, kernelVersion = 0x1f1, 0x202, 0x206, 0x20e
		payloadOffset, payloadLength               = 0x248, 0x24c
	)
	if len(b) < 0x250 || string(b[magic:magic+4]) != "HdrS" || binary.LittleEndian.Uint16(b[protocol:]) < 0x208 {
		return header{}, errNoHeader
	}
	var h header
	at := int(binary.LittleEndian.Uint16(b[kernelVersion:])) + 0x200
	if at < len(b) {
		text, _, _ := bytes.Cut(b[at:min(at+256, len(b))], []byte{0})
		h.version = string(text)
	}
	start := (int(b[setupSects]) + 1) * 512
	start += int(binary.LittleEndian.Uint32(b[payloadOffset:]))
	end := start + int(binary.LittleEndian.Uint32(b[payloadLength:]))
	if start > end || end > len(b) {
		return header{}, errNoHeader
	}
	h.payload = b[start:end]
	return h, nil
}

// unpackImage gives the ELF image inside a bzImage: software emulation takes seconds
// to unpack it.
func unpackImage(b []byte) ([]byte, error) {
	h, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	out, err := decompress(h.payload)
	if err != nil || !bytes.HasPrefix(out, []byte("\x7fELF")) {
		return nil, fmt.Errorf("cannot unpack the kernel: %w", errors.Join(err, errors.New("it is not an ELF image")))
	}
	return out, nil
}

// decompress recognises the formats of kernels and modules. The size that follows a
// kernel's compressed data is left alone.
func decompress(b []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(b, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		r.Multistream(false)
		return io.ReadAll(r)
	case bytes.HasPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		r, err := zstd.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		out, err := io.ReadAll(r)
		if len(out) > 0 { // what follows is not zstd
			err = nil
		}
		return out, err
	case bytes.HasPrefix(b, []byte("\xfd7zXZ\x00")):
		return unxz(b)
	}
	return nil, errors.New("it is compressed in an unknown way")
}

// unxz runs xz, which Debian always has: dpkg needs it.
func unxz(b []byte) ([]byte, error) {
	var out, said bytes.Buffer
	cmd := exec.Command("xz", "--decompress", "--stdout", "--single-stream")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(b), &out, &said
	if err := cmd.Run(); err != nil && out.Len() == 0 {
		return nil, fmt.Errorf("xz: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return out.Bytes(), nil
}
