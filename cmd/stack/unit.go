package main

import (
	"fmt"
	"strings"
)

// unitMark is the first line of our units: others are never overwritten or removed.
const unitMark = "# Made by stack enable; stack disable removes it."

// unit is a systemd unit that brings a project back when the machine boots.
type unit struct {
	project, exe string
	root         string // STACK_ROOT; "" is the usual place
	state        string // where what is recorded lies
}

func (u unit) name() string { return "stack-" + u.project + ".service" }

// text is the unit. The stack is already up after `up`: the unit only knows of that.
// Firewalls are loaded before, since most of them begin by removing all rules.
func (u unit) text() string {
	var b strings.Builder
	fmt.Fprintln(&b, unitMark)
	fmt.Fprintf(&b, "[Unit]\nDescription=stack %s\n", u.project)
	b.WriteString("Wants=network-online.target\n")
	b.WriteString("After=network-online.target time-sync.target nftables.service firewalld.service ufw.service docker.service\n")
	fmt.Fprintf(&b, "RequiresMountsFor=%s\n\n", quoted(u.state))
	b.WriteString("[Service]\nType=oneshot\nRemainAfterExit=yes\n")
	if u.root != "" {
		fmt.Fprintf(&b, "Environment=%s\n", quoted("STACK_ROOT="+u.root))
	}
	exe := strings.ReplaceAll(quoted(u.exe), "$", "$$") // variables are replaced in commands alone
	fmt.Fprintf(&b, "ExecStart=%s --project-name %s boot\n", exe, u.project)
	fmt.Fprintf(&b, "ExecStop=%s --project-name %s boot --halt\n", exe, u.project)
	b.WriteString("TimeoutStartSec=infinity\nTimeoutStopSec=5min\n\n")
	b.WriteString("[Install]\nWantedBy=multi-user.target\n")
	return b.String()
}

// quoted writes a word as systemd.syntax(7) and systemd.unit(5) read it.
func quoted(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(s)
	if strings.ContainsAny(s, " \t\"'\\;") {
		return `"` + s + `"`
	}
	return s
}
