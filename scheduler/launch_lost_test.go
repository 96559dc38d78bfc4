package scheduler

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"stack/runtime/shim"
)

const joining = `
services:
  web:
    image: rootfs:/img
    command: [web]
    network_mode: service:db
    depends_on: [db]
  db:
    image: rootfs:/img
    command: [db]
    network_mode: none
`

// Namespaces are joined by pid: with one that another process has since, they may have
// been the host's.
func TestStartRefusesAnothersNamespaces(t *testing.T) {
	b := newBench(t)
	b.set(func() { b.pid, b.born = os.Getpid()-1, 1 }) // db, the first, gets a pid that lives, and not since then
	err := b.do(Command{Verb: VerbUp}, loadStack(t, joining))
	if err == nil || !strings.Contains(err.Error(), "cannot join service:db: it ended meanwhile") {
		t.Errorf("up: %v", err)
	}
	if n := b.alive(); n != 1 {
		t.Errorf("%d containers run", n)
	}
}

// Who has ended is nobody to join, even while its record has it running: a start that
// took it for one would fail as its own fault, and never be repeated.
func TestNobodyJoinsTheDead(t *testing.T) {
	b := newBench(t)
	both := loadStack(t, joining)
	b.must(Command{Verb: VerbUp}, "services: {db: {image: \"rootfs:/img\", command: [db], network_mode: none}}")
	id := b.instances()["p-db-1"].ID
	b.set(func() { b.running[id] = 0 })
	l := &launch{c: b.c, svc: both.Services["web"], peers: map[string]Peer{}}
	b.c.mu.Lock()
	p, err := b.c.peer(t.Context(), "service:db")
	b.c.mu.Unlock()
	if err == nil {
		t.Errorf("joined %+v", p)
	}
	if !l.lostPeer(t.Context()) {
		t.Error("the start's failure is its own")
	}
}

func TestCheckPeers(t *testing.T) {
	own, err := shim.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		peer Peer
		ok   bool
	}{
		"lives":    {Peer{Pid: os.Getpid(), StartTime: own}, true},
		"another":  {Peer{Pid: os.Getpid(), StartTime: own + 1}, false},
		"is gone":  {Peer{Pid: gone.Process.Pid, StartTime: own}, true},
		"no start": {Peer{Pid: os.Getpid()}, true},
	} {
		l := &launch{peers: map[string]Peer{"service:db": c.peer}}
		if err := l.checkPeers(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
