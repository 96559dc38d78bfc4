package oci

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// stateJSON is the state as the specification has it, and what runc adds.
type stateJSON struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      runtime.Status    `json:"status"`
	Bundle      string            `json:"bundle"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

func newState(s runtime.State) stateJSON {
	return stateJSON{
		Version: specs.Version, ID: s.ID, Pid: s.Pid, Status: s.Status, Bundle: s.Bundle,
		Created: s.Created, Annotations: s.Annotations, Owner: owner(),
	}
}

func state(c *call, f *flag.FlagSet, args []string) error {
	id, err := parseID(f, args)
	if err != nil {
		return err
	}
	s, err := c.native().State(context.Background(), id)
	if err != nil {
		return explain(id, err)
	}
	return printJSON(c.out, newState(s))
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func list(c *call, f *flag.FlagSet, args []string) error {
	format := f.String("format", "table", "table or json")
	alias(f, "f", "format")
	quiet := f.Bool("quiet", false, "only IDs")
	alias(f, "q", "quiet")
	if err := parse(f, args, 0, 0); err != nil {
		return err
	}
	all, err := c.native().List(context.Background())
	if len(all) == 0 && err != nil {
		return err
	}
	if err != nil {
		c.warn(err.Error())
	}
	var states []stateJSON
	for _, s := range all {
		states = append(states, newState(s))
	}
	switch {
	case *quiet:
		for _, s := range states {
			fmt.Fprintln(c.out, s.ID)
		}
		return nil
	case *format == "json":
		return json.NewEncoder(c.out).Encode(states)
	case *format == "table":
		return printStates(c.out, states)
	}
	return usageError{fmt.Errorf("unknown format %q", *format)}
}

func printStates(w io.Writer, states []stateJSON) error {
	t := tabwriter.NewWriter(w, 12, 1, 3, ' ', 0)
	fmt.Fprint(t, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, s := range states {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Pid, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner)
	}
	return t.Flush()
}

// owner is the only one whose containers there are: this user.
func owner() string {
	if os.Getuid() == 0 {
		return "root"
	}
	return fmt.Sprintf("#%d", os.Getuid())
}
