package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Stream is a conversation: messages, and bytes on up to three channels.
type Stream struct {
	conn *Conn
	id   uint32

	mu       sync.Mutex
	changed  sync.Cond
	messages []json.RawMessage
	in       [channels]inbox
	out      [channels]outbox
	err      error // why nothing can be sent any more
	over     bool  // the other side said close
}

type inbox struct {
	data []byte
	eof  bool
	// unsaid is what was read and not acknowledged yet.
	unsaid int
}

type outbox struct {
	unacked int
	eof     bool
}

// maxMessages bounds what a peer may send without being read.
const maxMessages = 256

func newStream(c *Conn, id uint32) *Stream {
	s := &Stream{conn: c, id: id}
	s.changed.L = &s.mu
	return s
}

func (s *Stream) receive(f Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changed.Broadcast()
	in, out := &s.in[f.Channel], &s.out[f.Channel]
	switch f.Kind {
	case KindMessage:
		if len(s.messages) >= maxMessages {
			return fmt.Errorf("%w: too many messages", errProtocol)
		}
		s.messages = append(s.messages, f.Payload)
	case KindData:
		if len(in.data)+len(f.Payload) > Window || in.eof {
			return fmt.Errorf("%w: more data than may be sent", errProtocol)
		}
		in.data = append(in.data, f.Payload...)
	case KindEOF:
		in.eof = true
	case KindAck:
		if len(f.Payload) != 4 {
			return fmt.Errorf("%w: bad acknowledgement", errProtocol)
		}
		n := int(binary.BigEndian.Uint32(f.Payload))
		if n > out.unacked {
			return fmt.Errorf("%w: more was acknowledged than sent", errProtocol)
		}
		out.unacked -= n
	case KindClose:
		s.over, s.err = true, io.ErrClosedPipe
	}
	return nil
}

// lost is called by the connection when it ends.
func (s *Stream) lost(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.over = true
	s.changed.Broadcast()
}

// Close says that nothing more is sent, and forgets the stream.
func (s *Stream) Close() error {
	s.mu.Lock()
	tell := !s.over && s.err == nil
	if s.err == nil {
		s.err = io.ErrClosedPipe
	}
	s.over = true
	s.changed.Broadcast()
	s.mu.Unlock()
	s.conn.forget(s.id)
	if tell {
		return s.conn.send(Frame{Kind: KindClose, Stream: s.id})
	}
	return nil
}

// Send sends a message.
func (s *Stream) Send(message any) error {
	b, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if err := s.sendable(); err != nil {
		return err
	}
	return s.conn.send(Frame{Kind: KindMessage, Stream: s.id, Payload: b})
}

func (s *Stream) sendable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Receive waits for the next message; io.EOF when there will be none.
func (s *Stream) Receive(message any) error {
	s.mu.Lock()
	for len(s.messages) == 0 && !s.over {
		s.changed.Wait()
	}
	if len(s.messages) == 0 {
		s.mu.Unlock()
		return io.EOF
	}
	first := s.messages[0]
	s.messages = s.messages[1:]
	s.mu.Unlock()
	return json.Unmarshal(first, message)
}

// Reader reads what the other side sends on a channel.
func (s *Stream) Reader(ch Channel) io.Reader { return reader{s, ch} }

type reader struct {
	s  *Stream
	ch Channel
}

func (r reader) Read(p []byte) (int, error) {
	s := r.s
	s.mu.Lock()
	in := &s.in[r.ch]
	for len(in.data) == 0 && !in.eof && !s.over {
		s.changed.Wait()
	}
	n := copy(p, in.data)
	if in.data = in.data[n:]; len(in.data) == 0 {
		in.data = nil
	}
	ended := n == 0 && len(p) > 0
	var said int
	if in.unsaid += n; in.unsaid >= Window/4 && !s.over {
		said, in.unsaid = in.unsaid, 0
	}
	s.mu.Unlock()
	if ended {
		return 0, io.EOF
	}
	if said > 0 {
		s.conn.send(Frame{Kind: KindAck, Channel: r.ch, Stream: s.id, Payload: binary.BigEndian.AppendUint32(nil, uint32(said))})
	}
	return n, nil
}

// Writer sends on a channel; Close ends the channel.
func (s *Stream) Writer(ch Channel) io.WriteCloser { return writer{s, ch} }

type writer struct {
	s  *Stream
	ch Channel
}

func (w writer) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		n, err := w.reserve(min(len(p), MaxPayload))
		if err != nil {
			return written, err
		}
		if err := w.s.conn.send(Frame{Kind: KindData, Channel: w.ch, Stream: w.s.id, Payload: p[:n]}); err != nil {
			return written, err
		}
		p, written = p[n:], written+n
	}
	return written, nil
}

// reserve waits for room in the window.
func (w writer) reserve(want int) (int, error) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &s.out[w.ch]
	for s.err == nil && out.unacked >= Window {
		s.changed.Wait()
	}
	switch {
	case s.err != nil:
		return 0, s.err
	case out.eof:
		return 0, io.ErrClosedPipe
	}
	n := min(want, Window-out.unacked)
	out.unacked += n
	return n, nil
}

func (w writer) Close() error {
	s := w.s
	s.mu.Lock()
	done := s.out[w.ch].eof || s.err != nil
	s.out[w.ch].eof = true
	s.mu.Unlock()
	if done {
		return nil
	}
	return s.conn.send(Frame{Kind: KindEOF, Channel: w.ch, Stream: s.id})
}
