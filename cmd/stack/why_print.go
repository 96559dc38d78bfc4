package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

func (r *reasons) print(w io.Writer) error {
	line := "service " + r.Service + ": " + r.State
	switch {
	case r.State == "waiting":
		line += " for " + r.Reason
	case r.Reason != "":
		line += ": " + r.Reason
	}
	fmt.Fprintln(w, plain(line))
	if r.Update != "" && r.Update != r.Reason {
		fmt.Fprintln(w, plain("  update: "+r.Update))
	}
	for _, text := range r.Waits {
		fmt.Fprintln(w, plain("  an edit of its file waits for consent: "+text))
	}
	for _, op := range r.Next {
		fmt.Fprintln(w, plain(fmt.Sprintf("  next: %s %s: %s", op.Kind, op.Target, op.Cause)))
	}
	for _, c := range r.Containers {
		c.print(w)
	}
	if len(r.Events) == 0 {
		return nil
	}
	fmt.Fprintln(w, "last events:")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, ev := range r.Events {
		detail := ev.Error
		if state := ev.Attributes["updatestate.new"]; state != "" {
			detail = strings.TrimSuffix(state+": "+detail, ": ")
		}
		if code, ok := ev.Attributes["exitCode"]; ok && detail == "" {
			detail = "exit code " + code
		}
		fmt.Fprintln(tw, strings.TrimRight(plain(fmt.Sprintf("  %s\t%s\t%s\t%s", ev.Time.Local().Format(time.DateTime), ev.Name, ev.Action, detail)), "\t "))
	}
	return tw.Flush()
}

func (c whyContainer) print(w io.Writer) {
	fmt.Fprintln(w, plain(fmt.Sprintf("%s: %s", c.Name, c.Status)))
	say := func(format string, args ...any) {
		for line := range strings.Lines(fmt.Sprintf(format, args...)) {
			fmt.Fprintln(w, "  "+plain(strings.TrimRight(line, "\n")))
		}
	}
	if c.Error != "" {
		say("error: %s", c.Error)
	}
	if c.ExitCode != nil && c.OOMKilled {
		say("last run: exit code %d, out of memory", *c.ExitCode)
	} else if c.ExitCode != nil {
		say("last run: exit code %d", *c.ExitCode)
	}
	if c.Restarts > 0 {
		say("restarts: %d", c.Restarts)
	}
	if c.State == "restarting" {
		say("next start: in %s", ago(time.Until(c.NextStart)))
	}
	for _, p := range c.Probes {
		result := fmt.Sprintf("exit code %d", p.ExitCode)
		if p.TimedOut {
			result = "timed out"
		}
		if out := strings.TrimSpace(p.Output); out != "" {
			result += ": " + out
		}
		say("probe %s: %s", p.Start.Local().Format(time.TimeOnly), result)
	}
	for _, text := range c.Warnings {
		say("warning: %s", text)
	}
}
