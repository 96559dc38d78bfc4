package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits of the protocol.
const (
	MaxPayload = 32 << 10
	// MaxMessage bounds open and message frames: a container's whole configuration.
	MaxMessage = 16 << 20
	Window     = 128 << 10
	// MaxStreams bounds the streams that one side may have open.
	MaxStreams = 1024
)

// Kind is what a frame is.
type Kind uint8

const (
	KindOpen Kind = iota + 1
	KindMessage
	KindData
	KindEOF
	KindAck
	KindClose
)

// Channel is one of a stream's ways for bytes.
type Channel uint8

const (
	Stdin Channel = iota + 1
	Stdout
	Stderr
	channels = 4
)

// Frame is one unit of the protocol.
type Frame struct {
	Kind    Kind
	Channel Channel
	Stream  uint32
	Payload []byte
}

const headerSize = 10

var errProtocol = errors.New("the other side breaks the protocol")

// ReadFrame reads one frame. io.EOF is an end between frames.
func ReadFrame(r io.Reader) (Frame, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Frame{}, err
	}
	f := Frame{Kind: Kind(h[0]), Channel: Channel(h[1]), Stream: binary.BigEndian.Uint32(h[2:])}
	size, limit := binary.BigEndian.Uint32(h[6:]), uint32(MaxPayload)
	if f.Kind == KindOpen || f.Kind == KindMessage {
		limit = MaxMessage
	}
	if f.Kind < KindOpen || f.Kind > KindClose || f.Channel >= channels || size > limit {
		return Frame{}, fmt.Errorf("%w: frame of kind %d, channel %d, %d bytes", errProtocol, f.Kind, f.Channel, size)
	}
	f.Payload = make([]byte, size)
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		return Frame{}, fmt.Errorf("cannot read a frame: %w", noEOF(err))
	}
	return f, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Bytes is the frame as it is sent.
func (f Frame) Bytes() []byte {
	b := make([]byte, headerSize, headerSize+len(f.Payload))
	b[0], b[1] = byte(f.Kind), byte(f.Channel)
	binary.BigEndian.PutUint32(b[2:], f.Stream)
	binary.BigEndian.PutUint32(b[6:], uint32(len(f.Payload)))
	return append(b, f.Payload...)
}
