package scheduler

import (
	"fmt"
	"strings"
	"time"
)

// Reload is one line of a watch: what a batch of changed files led to.
type Reload struct {
	// Enabled says that from now on changes are seen; nothing else is set then.
	Enabled bool `json:",omitempty"`
	// Rule is one that was inferred, as text; only Service is set beside it.
	Rule    string `json:",omitempty"`
	Service string `json:",omitempty"`
	Files   int    `json:",omitempty"` // that changed or are gone
	// Replicas were synced into, Executed ran the rule's command, Signalled got its
	// signal, Restarted were restarted.
	Replicas  int `json:",omitempty"`
	Executed  int `json:",omitempty"`
	Signalled int `json:",omitempty"`
	Restarted int `json:",omitempty"`
	// Rebuilt replicas were replaced by those of a new image; -1 says that the build
	// gave the same image.
	Rebuilt int `json:",omitempty"`
	// Took is the time from the first change to the end.
	Took    time.Duration `json:",omitempty"`
	Warning string        `json:",omitempty"`
	Error   string        `json:",omitempty"`
}

// String is the line as people see it.
func (r Reload) String() string {
	switch {
	case r.Enabled:
		return "Watch enabled"
	case r.Rule != "":
		return r.Service + " follows " + r.Rule
	case r.Warning != "":
		if r.Service == "" {
			return r.Warning
		}
		return r.Service + ": " + r.Warning
	case r.Files == 0:
		return r.Service + ": " + r.Error
	}
	line := r.Service + ": " + count(r.Files, "file")
	if r.Replicas+r.Executed+r.Signalled+r.Restarted+r.Rebuilt == 0 {
		line += " changed"
	}
	for _, did := range []struct {
		what string
		n    int
	}{{"synced to", r.Replicas}, {"executed in", r.Executed}, {"signalled", r.Signalled}, {"restarted", r.Restarted}} {
		if did.n > 0 {
			line += ", " + did.what + " " + count(did.n, "replica")
		}
	}
	switch {
	case r.Rebuilt == sameImage:
		line += ", rebuilt to the same image"
	case r.Rebuilt > 0:
		line += ", rebuilt, replaced " + count(r.Rebuilt, "replica")
	}
	line += fmt.Sprintf(" in %d ms", r.Took.Milliseconds())
	if strings.Contains(r.Error, "\n  ") || strings.Count(r.Error, "\n") > fewLines {
		return line + "; " + strings.ReplaceAll(strings.TrimSpace(r.Error), "\n", "\n  ") // a builder's output
	}
	if r.Error != "" {
		line += "; " + strings.ReplaceAll(r.Error, "\n", "; ")
	}
	return line
}

// fewLines of an error fit into one.
const fewLines = 3

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
