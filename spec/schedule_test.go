package spec

import (
	"strings"
	"testing"
	"time"
)

func TestNextRun(t *testing.T) {
	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct{ schedule, after, want string }{
		{"*/5 * * * *", "2026-03-01T10:02:30Z", "2026-03-01T10:05:00Z"},
		{"*/5 * * * *", "2026-03-01T10:05:00Z", "2026-03-01T10:10:00Z"},
		{"30 3 * * *", "2026-03-01T10:00:00Z", "2026-03-02T03:30:00Z"},
		{"0 0 29 2 *", "2026-03-01T10:00:00Z", "2028-02-29T00:00:00Z"},
		{"0 9 * * MON", "2026-03-04T10:00:00Z", "2026-03-09T09:00:00Z"},
		{"*/2 * * * * *", "2026-03-01T10:00:01.5Z", "2026-03-01T10:00:02Z"},
		{"@daily", "2026-03-01T10:00:00Z", "2026-03-02T00:00:00Z"},
		{"CRON_TZ=Asia/Tokyo 0 5 * * *", "2026-03-01T10:00:00Z", "2026-03-01T20:00:00Z"},
	} {
		got, err := NextRun(c.schedule, at(c.after))
		if err != nil || !got.Equal(at(c.want)) {
			t.Errorf("%s after %s: %v %v, want %s", c.schedule, c.after, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "* * * *", "61 * * * *", "hello", "0 0 30 2 *", "CRON_TZ=Nowhere/Else 0 5 * * *", "CRON_TZ="} {
		if got, err := NextRun(bad, time.Now()); err == nil {
			t.Errorf("%q is taken for a schedule: %v", bad, got)
		}
	}
}

func TestJobTimes(t *testing.T) {
	st := mustLoad(t, Options{Files: []string{"-"}, Project: "p", Stdin: strings.NewReader(`
jobs:
  report:
    image: app
    triggers: {schedule: [{cron: "0 5 * * *", timezone: Asia/Tokyo, missed_fires: skip}, "0 12 * * *"]}
`)})
	s := st.Schedule("report")
	if !s.CatchUp || s.Queue {
		t.Errorf("%+v", s)
	}
	after := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for _, want := range []time.Time{after.Add(2 * time.Hour), after.Add(10 * time.Hour)} {
		got, err := s.Next(after)
		if err != nil || !got.Equal(want) {
			t.Errorf("%v %v, want %v", got, err, want)
		}
		after = got
	}
	st, err := st.WithJobs()
	if err != nil {
		t.Fatal(err)
	}
	if report := st.Services["report"]; report.GetScale() != 1 {
		t.Errorf("%+v", report)
	}
}
