package api

import (
	"strings"
	"testing"

	"stack/scheduler"
)

func TestWriteMetrics(t *testing.T) {
	var b strings.Builder
	err := WriteMetrics(&b, []scheduler.Metric{
		{Name: "stack_build", Help: "The program.", Kind: scheduler.Info, Samples: []scheduler.Sample{{Labels: []string{"version", "1"}, Value: 1}}},
		{Name: "stack_none", Help: "Nothing.", Kind: scheduler.Gauge},
		{Name: "stack_cpu_seconds", Help: "Time \\ of\nall.", Kind: scheduler.Counter, Samples: []scheduler.Sample{
			{Labels: []string{"service", `a"b\c`, "container", "x\ny"}, Value: 1.5}, {Value: 1e21}}},
	})
	want := `# TYPE stack_build info
# HELP stack_build The program.
stack_build_info{version="1"} 1
# TYPE stack_cpu_seconds counter
# UNIT stack_cpu_seconds seconds
# HELP stack_cpu_seconds Time \\ of\nall.
stack_cpu_seconds_total{service="a\"b\\c",container="x\ny"} 1.5
stack_cpu_seconds_total 1e+21
# EOF
`
	if err != nil || b.String() != want {
		t.Errorf("got %v\n%s", err, b.String())
	}
}
