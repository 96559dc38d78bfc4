package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestUnitText(t *testing.T) {
	u := unit{project: "shop", exe: "/opt/my stack/100%/stack", root: "/srv/$x", state: "/srv/$x/lib"}
	const want = unitMark + `
[Unit]
Description=stack shop
Wants=network-online.target
After=network-online.target time-sync.target nftables.service firewalld.service ufw.service docker.service
RequiresMountsFor=/srv/$x/lib

[Service]
Type=oneshot
RemainAfterExit=yes
Environment=STACK_ROOT=/srv/$x
ExecStart="/opt/my stack/100%%/stack" --project-name shop boot
ExecStop="/opt/my stack/100%%/stack" --project-name shop boot --halt
TimeoutStartSec=infinity
TimeoutStopSec=5min

[Install]
WantedBy=multi-user.target
`
	if got := u.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestUnitIsValid asks systemd itself, where it is installed.
func TestUnitIsValid(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("skipped: systemd-analyze is not installed")
	}
	exe := filepath.Join(t.TempDir(), "a stack")
	if err := os.WriteFile(exe, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	u := unit{project: "shop", exe: exe, root: "/tmp", state: "/tmp/lib"}
	path := filepath.Join(t.TempDir(), u.name())
	if err := os.WriteFile(path, []byte(u.text()), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
