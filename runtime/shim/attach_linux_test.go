package shim

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"stack/runtime"
)

// pipe returns a pipe whose ends are closed with the test.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// gated runs a container that writes only after it got a line.
func gated(s *stack, id, script string) {
	s.t.Helper()
	s.order(order{Do: "run", ID: id, Stdin: true, Script: "read go; " + script})
}

func attach(s *stack, id string, a Attach) *os.File {
	s.t.Helper()
	in, err := s.c.Attach(s.ctx, id, a)
	if err != nil {
		s.t.Fatal(err)
	}
	if in != nil {
		s.t.Cleanup(func() { in.Close() })
	}
	return in
}

// A slow client gets every byte; the container waits for it meanwhile.
func TestSlowClientLosesNothing(t *testing.T) {
	s := newStack(t)
	const size = 1 << 20
	gated(s, "a", "head -c 1048576 /dev/zero; echo done >&2; exit 3")
	r, w := pipe(t)
	in := attach(s, "a", Attach{Stdout: w, Stdin: true})
	w.Close()
	io.WriteString(in, "go\n")
	time.Sleep(50 * time.Millisecond)
	if _, err := os.Stat(recordPath(s.dir, "a")); err == nil {
		t.Fatal("the container did not wait for its client")
	}
	n, err := io.Copy(io.Discard, r) // to its end
	if err != nil || n != size {
		t.Fatal(n, err)
	}
	if rec := s.exit("a"); rec.Code != 3 {
		t.Fatal(rec)
	}
	if got := len(s.text("a", "stdout")); got != size {
		t.Fatalf("log has %d bytes", got)
	}
}

// A client that is gone holds up nobody; neither does a lossy one that is slow.
func TestDeadAndLossyClients(t *testing.T) {
	s := newStack(t)
	gated(s, "a", "head -c 300000 /dev/zero")
	dead, w1 := pipe(t)
	_, w2 := pipe(t) // never read
	live, w3 := pipe(t)
	attach(s, "a", Attach{Stdout: w1})
	attach(s, "a", Attach{Stdout: w2, Lossy: true})
	in := attach(s, "a", Attach{Stdout: w3, Stdin: true})
	dead.Close()
	w1.Close()
	w3.Close()
	io.WriteString(in, "go\n")
	if n, err := io.Copy(io.Discard, live); err != nil || n != 300000 {
		t.Fatal(n, err)
	}
	s.exit("a")
	if got := len(s.text("a", "stdout")); got != 300000 {
		t.Fatalf("log has %d bytes", got)
	}
}

// A container that has ended is not kept by a client that never reads; forget
// ends even that.
func TestForgetEndsAStuckClient(t *testing.T) {
	s := newStack(t)
	gated(s, "a", "head -c 200000 /dev/zero")
	r, w := pipe(t)
	in := attach(s, "a", Attach{Stdout: w, Stdin: true})
	w.Close()
	io.WriteString(in, "go\n")
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s.order(order{Do: "forget", ID: "a"})
	if n, err := io.Copy(io.Discard, r); err != nil || n >= 200000 {
		t.Fatal(n, err)
	}
	if _, err := s.c.Attach(s.ctx, "a", Attach{}); !errors.Is(err, runtime.ErrNotFound) {
		t.Fatal(err)
	}
}

func TestStdinOnceEndsWithItsClient(t *testing.T) {
	s := newStack(t)
	s.order(order{Do: "run", ID: "a", Stdin: true, Once: true, Script: "cat; exit 5"})
	r, w := pipe(t)
	in := attach(s, "a", Attach{Stdout: w, Stdin: true})
	w.Close()
	big := strings.Repeat("0123456789abcdef", 20000)
	go func() {
		io.WriteString(in, big)
		in.Close()
	}()
	got, err := io.ReadAll(r)
	if err != nil || string(got) != big {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if rec := s.exit("a"); rec.Code != 5 {
		t.Fatal(rec)
	}
}

func TestOpenStdinSurvivesClients(t *testing.T) {
	s := newStack(t)
	s.order(order{Do: "run", ID: "a", Stdin: true, Script: "while read l; do echo got $l; done"})
	for _, word := range []string{"one", "two"} {
		in := attach(s, "a", Attach{Stdin: true})
		io.WriteString(in, word+"\n")
		in.Close()
		s.awaitText("a", "got "+word+"\n")
	}
	if _, err := os.Stat(recordPath(s.dir, "a")); err == nil {
		t.Fatal("input ended without a client")
	}
	// It also survives the shim, whose end of it the controller has too.
	old := s.order(order{Do: "state"}).Pid
	s.kill(s.pid)
	s.connect()
	s.awaitController(old)
	in := attach(s, "a", Attach{Stdin: true})
	io.WriteString(in, "three\n")
	s.awaitText("a", "got three\n")
}

func TestTerminalAttach(t *testing.T) {
	s := newStack(t)
	s.order(order{Do: "run", ID: "a", Terminal: true, Script: "stty -echo; echo ready; read l; echo got $l; exit 4"})
	r, w := pipe(t)
	s.awaitText("a", "ready")
	tty := attach(s, "a", Attach{Stdout: w, Stdin: true})
	w.Close()
	io.WriteString(tty, "hello\n")
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Contains(got, []byte("got hello\r\n")) {
		t.Fatalf("%q, %v", got, err)
	}
	if rec := s.exit("a"); rec.Code != 4 {
		t.Fatal(rec)
	}
}

// The mode of a client's descriptor, which a shell may share, is not touched.
func TestClientsPipeStaysBlocking(t *testing.T) {
	_, w := pipe(t)
	fd := int(w.Fd()) // makes it blocking
	c, err := newClient(fd, false)
	if err != nil {
		t.Fatal(err)
	}
	if nonblocking(t, fd) {
		t.Fatal("made non-blocking")
	}
	c.pipe.Close()
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := newClient(int(f.Fd()), false); err == nil {
		t.Fatal("attached to what is no pipe")
	}
}
