package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// pair is a host's and a guest's end of one connection.
func pair(t *testing.T, accept func(*Stream, json.RawMessage)) (host, guest *Conn) {
	t.Helper()
	a, b := net.Pipe()
	host, guest = New(a, 1, nil), New(b, 2, accept)
	t.Cleanup(func() { host.Close(); guest.Close() })
	return host, guest
}

func TestStreamsCarryAllChannels(t *testing.T) {
	host, _ := pair(t, func(s *Stream, payload json.RawMessage) {
		defer s.Close()
		if string(payload) != `"echo"` {
			t.Errorf("request %s", payload)
		}
		var pumps sync.WaitGroup
		for _, ch := range []Channel{Stdout, Stderr} {
			pumps.Go(func() {
				w := s.Writer(ch)
				io.Copy(w, s.Reader(Stdin))
				w.Close()
			})
		}
		pumps.Wait()
		s.Send(Message{Exit: &Exit{Code: 7}})
	})
	s, err := host.Open("echo")
	if err != nil {
		t.Fatal(err)
	}
	const size = 5*Window + 17 // more than may be under way
	go func() {
		w := s.Writer(Stdin)
		w.Write(bytes.Repeat([]byte{'x'}, size))
		w.Close()
	}()
	var total int
	for _, ch := range []Channel{Stdout, Stderr} {
		b, err := io.ReadAll(iotest.OneByteReader(s.Reader(ch)))
		if err != nil {
			t.Fatal(err)
		}
		total += len(b)
	}
	var m Message
	if err := s.Receive(&m); err != nil || m.Exit == nil || m.Exit.Code != 7 || total != size {
		t.Errorf("%v %+v, %d bytes", err, m, total)
	}
	if err := s.Receive(&m); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

// TestSlowReader: who does not read holds up neither messages nor other streams.
func TestSlowReader(t *testing.T) {
	host, _ := pair(t, func(s *Stream, payload json.RawMessage) {
		if string(payload) == `"flood"` {
			s.Send(Message{Started: true})
			s.Writer(Stdout).Write(make([]byte, 10*Window))
			return
		}
		s.Send(Message{Exit: &Exit{}})
		s.Close()
	})
	flood, err := host.Open("flood")
	if err != nil {
		t.Fatal(err)
	}
	var m Message
	if err := flood.Receive(&m); err != nil || !m.Started {
		t.Fatal(err, m)
	}
	other, err := host.Open("other")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Receive(&m); err != nil || m.Exit == nil {
		t.Fatal(err, m)
	}
	n, err := io.CopyN(io.Discard, flood.Reader(Stdout), 10*Window)
	if err != nil || n != 10*Window {
		t.Fatal(n, err)
	}
}

// TestHostilePeer: what breaks the protocol ends the connection, and costs no more.
func TestHostilePeer(t *testing.T) {
	frames := func(list ...Frame) []byte {
		var b []byte
		for _, f := range list {
			b = append(b, f.Bytes()...)
		}
		return b
	}
	data := make([]byte, MaxPayload)
	var flood []Frame
	for range Window/MaxPayload + 1 {
		flood = append(flood, Frame{Kind: KindData, Channel: Stdout, Stream: 1, Payload: data})
	}
	var chatter []Frame
	for range maxMessages + 1 {
		chatter = append(chatter, Frame{Kind: KindMessage, Stream: 1, Payload: []byte("{}")})
	}
	for name, said := range map[string][]byte{
		"unknown kind":          {99, 0, 0, 0, 0, 1, 0, 0, 0, 0},
		"unknown channel":       {byte(KindData), 9, 0, 0, 0, 1, 0, 0, 0, 0},
		"huge payload":          {byte(KindData), 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff},
		"half a frame":          {byte(KindData), 1, 0},
		"more than the window":  frames(flood...),
		"data after its end":    frames(Frame{Kind: KindEOF, Channel: 2, Stream: 1}, Frame{Kind: KindData, Channel: 2, Stream: 1}),
		"acknowledged too much": frames(Frame{Kind: KindAck, Channel: 1, Stream: 1, Payload: []byte{0, 0, 0, 9}}),
		"short acknowledgement": frames(Frame{Kind: KindAck, Channel: 1, Stream: 1, Payload: []byte{1}}),
		"stream of ours":        frames(Frame{Kind: KindOpen, Stream: 3}),
		"too many messages":     frames(chatter...),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			c := New(a, 1, func(*Stream, json.RawMessage) {})
			defer c.Close()
			go io.Copy(io.Discard, b)
			s, err := c.Open("x")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				b.Write(said)
				b.Close()
			}()
			select {
			case <-c.Done():
			case <-time.After(10 * time.Second):
				t.Fatal("the connection lives on")
			}
			if err := s.Send(Message{}); err == nil {
				t.Error("a stream of a dead connection takes messages")
			}
			if !strings.Contains(name, "half") && !errors.Is(c.Err(), errProtocol) {
				t.Errorf("ended with %v", c.Err())
			}
		})
	}
}

// TestLastWords: what was said before the other side went is read, although nothing
// can be acknowledged any more.
func TestLastWords(t *testing.T) {
	a, b := net.Pipe()
	payload := bytes.Repeat([]byte{'y'}, MaxPayload)
	go func() {
		for _, f := range []Frame{
			{Kind: KindData, Channel: Stdout, Stream: 1, Payload: payload},
			{Kind: KindData, Channel: Stdout, Stream: 1, Payload: payload},
			{Kind: KindMessage, Stream: 1, Payload: []byte(`{"Exit":{"Code":3}}`)},
			{Kind: KindClose, Stream: 1},
		} {
			b.Write(f.Bytes())
		}
		b.Close()
	}()
	s := Resume(deafConn{a}, 1)
	all, err := io.ReadAll(s.Reader(Stdout))
	var m Message
	if err != nil || len(all) != 2*MaxPayload || s.Receive(&m) != nil || m.Exit == nil || m.Exit.Code != 3 {
		t.Errorf("%d bytes, %v, %+v", len(all), err, m)
	}
}

// deafConn takes no writes.
type deafConn struct{ net.Conn }

func (deafConn) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func FuzzReadFrame(f *testing.F) {
	f.Add(Frame{Kind: KindData, Channel: Stdout, Stream: 3, Payload: []byte("abc")}.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ReadFrame(bytes.NewReader(b))
		if err == nil && !bytes.HasPrefix(b, got.Bytes()) {
			t.Errorf("%x became %x", b, got.Bytes())
		}
	})
}
