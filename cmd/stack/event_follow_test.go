package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stack/scheduler"
)

// journal writes events and reads them back through a tail.
type journal struct {
	t    *testing.T
	path string
	tail *journalTail
	n    int
}

func (j *journal) write(n int) {
	j.t.Helper()
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		j.t.Fatal(err)
	}
	defer f.Close()
	for range n {
		j.n++
		line, _ := json.Marshal(scheduler.Event{Action: fmt.Sprint(j.n)})
		f.Write(append(line, '\n'))
	}
}

func (j *journal) read(want string) {
	j.t.Helper()
	var got []string
	if err := j.tail.read(func(ev scheduler.Event) error { got = append(got, ev.Action); return nil }); err != nil {
		j.t.Fatal(err)
	}
	if text := strings.Join(got, " "); text != want {
		j.t.Errorf("got %q, want %q", text, want)
	}
}

func TestJournalTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	j := &journal{t: t, path: path, tail: &journalTail{path: path}}
	defer j.tail.close()
	j.read("") // not there yet
	j.write(2)
	j.read("1 2")
	j.read("")
	j.write(1)
	j.read("3")

	// A rotation loses nothing of either file.
	j.write(1)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	j.write(2)
	j.read("4 5 6")

	// A removal and a new project of the name: likewise.
	j.write(1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	j.read("7")
	j.write(1)
	j.read("8")

	// A line that is not whole yet waits; one that a crash cut is passed over.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString(`{"action":"ha`)
	j.read("")
	f.WriteString("lf\"}\n{\"action\":\"cut\n")
	j.write(1)
	j.read("half 9")
}

func TestPrintEvent(t *testing.T) {
	ev := scheduler.Event{
		Time: time.Date(2026, 11, 23, 10, 0, 0, 1000, time.Local), Type: "container", Action: "start", ID: "abc", Service: "web",
		Attributes: map[string]string{"name": "p-web-1", "image": "app\x1b[2J"},
	}
	var b strings.Builder
	if err := printEvent(&b, ev, false); err != nil {
		t.Fatal(err)
	}
	if want := "2026-11-23 10:00:00.000001 container start abc (image=app\ufffd[2J, name=p-web-1)\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
