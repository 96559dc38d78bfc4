package api

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"stack/scheduler"
)

// metricsType is the media type of OpenMetrics 1.0.
const metricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	all := s.Controller.Metrics(r.Context())
	w.Header().Set("Content-Type", metricsType)
	WriteMetrics(w, all) // a client that went away is no error of ours
}

// suffix is what a family's samples have at the end of their names.
func suffix(kind scheduler.MetricKind) string {
	switch kind {
	case scheduler.Counter:
		return "_total"
	case scheduler.Info:
		return "_info"
	}
	return ""
}

// WriteMetrics writes families in the text format of OpenMetrics 1.0. Families
// without a sample are left out.
func WriteMetrics(w io.Writer, all []scheduler.Metric) error {
	b := bufio.NewWriter(w)
	for _, m := range all {
		if len(m.Samples) == 0 {
			continue
		}
		fmt.Fprintf(b, "# TYPE %s %s\n", m.Name, m.Kind)
		if unit := unitOf(m.Name); unit != "" {
			fmt.Fprintf(b, "# UNIT %s %s\n", m.Name, unit)
		}
		fmt.Fprintf(b, "# HELP %s %s\n", m.Name, escape(m.Help))
		for _, s := range m.Samples {
			b.WriteString(m.Name + suffix(m.Kind) + labelSet(s.Labels) + " " + strconv.FormatFloat(s.Value, 'g', -1, 64) + "\n")
		}
	}
	b.WriteString("# EOF\n")
	return b.Flush()
}

// unitOf is the unit that a name must end with if it has one.
func unitOf(name string) string {
	for _, unit := range []string{"seconds", "bytes"} {
		if strings.HasSuffix(name, "_"+unit) {
			return unit
		}
	}
	return ""
}

func labelSet(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	var parts []string
	for n := 0; n+1 < len(labels); n += 2 {
		parts = append(parts, labels[n]+`="`+escape(labels[n+1])+`"`)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(s)
}
