package ps

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	stat := "7 (a) b) S 1 7 7 34817 7 4194560 1 2 3 4 500 250 0 0 20 0 1 0 100000 1 2 3"
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	p, name, err := parse([]byte(stat), 1015*time.Second, now)
	if err != nil {
		t.Fatal(err)
	}
	if name != "a) b" || p.PPid != 1 || p.TTY != "pts/1" || p.Time != 7500*time.Millisecond || p.CPU != 50 || !p.Started.Equal(now.Add(-15*time.Second)) {
		t.Errorf("%q %+v", name, p)
	}
	got := strings.Join(p.Columns("root", now), " ")
	if got != "root 0 1 50 11:59 pts/1 00:00:07 " {
		t.Error(got)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1"} {
		if _, _, err := parse([]byte(bad), 0, now); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestCommandCannotSteerATerminal(t *testing.T) {
	if got := command([]byte("ls\x00\x1b[2J\x00a\nb\x00"), "x"); got != "ls ?[2J a?b" {
		t.Errorf("%q", got)
	}
	if got := command(nil, "kthread"); got != "[kthread]" {
		t.Errorf("%q", got)
	}
}

func TestReadSelf(t *testing.T) {
	p, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if p.PPid != os.Getppid() || int(p.UID) != os.Geteuid() || !strings.Contains(p.Command, ".test") || time.Since(p.Started) > time.Hour {
		t.Errorf("%+v", p)
	}
}

func TestTimes(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for at, want := range map[time.Time]string{now.Add(-time.Hour): "11:00", now.Add(-24 * time.Hour): "May03", now.AddDate(-1, 0, 0): "2025"} {
		if got := started(at, now); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
	if got := clock(25*time.Hour + 61*time.Second); got != "1-01:01:01" {
		t.Error(got)
	}
}
