package oci

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"stack/runtime/native/ps"
)

// processes lists a container's processes with the host's pids, as `ps -ef` shows
// them; further arguments are accepted for runc's sake and ignored.
func processes(c *call, f *flag.FlagSet, args []string) error {
	format := f.String("format", "table", "table or json")
	alias(f, "f", "format")
	if err := parse(f, args, 1, -1); err != nil {
		return err
	}
	id := f.Arg(0)
	pids, err := c.native().Pids(context.Background(), id)
	if err != nil {
		return explain(id, err)
	}
	switch *format {
	case "json":
		return json.NewEncoder(c.out).Encode(pids)
	case "table":
	default:
		return usageError{fmt.Errorf("unknown format %q", *format)}
	}
	t := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(ps.Header(), "\t"))
	for _, pid := range pids {
		p, err := ps.Read(pid)
		if err != nil {
			continue // it has ended
		}
		user := strconv.FormatUint(uint64(p.UID), 10)
		if p.UID == 0 {
			user = "root"
		}
		fmt.Fprintln(t, strings.Join(p.Columns(user, time.Now()), "\t"))
	}
	return t.Flush()
}
