package monitor

import (
	"encoding/json"
	"fmt"
	"net"

	"stack/runtime"
	"stack/runtime/vm/wire"
)

// serve answers on the control socket.
func (m *monitor) serve() {
	for {
		c, err := m.control.Accept()
		if err != nil {
			return
		}
		go m.answer(c)
	}
}

func (m *monitor) answer(c net.Conn) {
	f, err := wire.ReadFrame(c)
	var r wire.Request
	if err != nil || f.Kind != wire.KindOpen || json.Unmarshal(f.Payload, &r) != nil {
		c.Close()
		return
	}
	switch {
	case r.Op == wire.OpAwait:
		m.replies.Add(1)
		defer m.replies.Done()
		<-m.settled
		reply(c, f.Stream, wire.Message{Started: m.failure == nil, Failure: m.failure})
	case r.Op == wire.OpRun:
		reply(c, f.Stream, wire.Message{Failure: &wire.Failure{Text: fmt.Sprintf("request %q is not served here", r.Op)}})
	case !m.isSettled() || m.failure != nil:
		reply(c, f.Stream, wire.Message{Failure: &wire.Failure{Text: runtime.ErrNotRunning.Error()}})
	default:
		m.port.Splice(c, f)
	}
}

func reply(c net.Conn, stream uint32, message wire.Message) {
	defer c.Close()
	b, err := json.Marshal(message)
	if err == nil {
		c.Write(wire.Frame{Kind: wire.KindMessage, Stream: stream, Payload: b}.Bytes())
	}
}

// accept serves what the guest asks for.
func (m *monitor) accept(s *wire.Stream, payload json.RawMessage) {
	defer s.Close()
	var r wire.Request
	if err := json.Unmarshal(payload, &r); err != nil {
		return
	}
	switch r.Op {
	case wire.OpHello:
		select {
		case m.hello <- struct{}{}:
		default:
		}
	case wire.OpName:
		askResolver(s, r.Network, m.config.Machine.Resolver)
	}
}
