package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// What an ended program wrote arrives whole although something holds its pipe open
// and the reader is slow.
func TestPumpAfterTheEnd(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close() // held open to the end
	text := strings.Repeat("x", 60000)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	slow := &slowWriter{}
	p := startPump(slow, r)
	p.finish()
	if slow.Len() != len(text) {
		t.Errorf("%d bytes of %d arrived", slow.Len(), len(text))
	}
}

type slowWriter struct{ bytes.Buffer }

func (s *slowWriter) Write(b []byte) (int, error) {
	time.Sleep(2 * lingering) // longer than the pump waits for more
	return s.Buffer.Write(b)
}

func TestAssignments(t *testing.T) {
	got := assignments([]string{"A=1", "B=x=y", "BARE", "C="})
	if len(got) != 3 || got["A"] != "1" || got["B"] != "x=y" || got["C"] != "" {
		t.Errorf("%v", got)
	}
}

func TestAccounts(t *testing.T) {
	acc := accounts{passwd: []byte("root:x:0:0::/root:/bin/sh\nbad\x1b[2J:x:7:7::/:\nme:x:1000:1000::/home/me:/bin/sh\n")}
	for uid, want := range map[int]string{0: "root", 1000: "me", 7: "7", 9: "9"} {
		if got := acc.userName(uid); got != want {
			t.Errorf("%d is %q", uid, got)
		}
	}
	p := &specs.Process{User: specs.User{UID: 1000}, Env: []string{"HOME=/home/me"}}
	if !acc.homeOf(p) {
		t.Error("the user's own home counts as chosen")
	}
	p.Env = []string{"HOME=/elsewhere"}
	if acc.homeOf(p) {
		t.Error("a chosen home counts as the user's")
	}
}
