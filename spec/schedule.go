package spec

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
	"github.com/compose-spec/compose-go/v2/types"
)

// Schedule is when a service is to be started by the clock.
type Schedule struct {
	// Times are in the syntax of NextRun; none: it is started by up alone.
	Times []string
	// Queue says that a run which is due while another goes on begins after that one;
	// else it is left out.
	Queue bool
	// CatchUp says that one run is begun for all that were missed.
	CatchUp bool
}

// Schedule is x-stack.schedule of a service, or what the triggers of the job say that
// WithJobs made it of.
func (s *Stack) Schedule(service string) Schedule {
	if x, err := ServiceExtension(s.Services[service]); err == nil && x.Schedule != "" {
		return Schedule{Times: []string{x.Schedule}}
	}
	return jobSchedule(s.Jobs[service])
}

func jobSchedule(j types.JobConfig) Schedule {
	var out Schedule
	if j.Triggers == nil {
		return out
	}
	for _, item := range j.Triggers.Schedule {
		text := item.Cron
		if item.Timezone != "" {
			text = zonePrefix + item.Timezone + " " + text
		}
		out.Times = append(out.Times, text)
		out.Queue = out.Queue || item.Concurrency == "queue"
		out.CatchUp = out.CatchUp || item.MissedFires != "skip"
	}
	return out
}

// Next is the first time after a given one.
func (s Schedule) Next(after time.Time) (time.Time, error) {
	var first time.Time
	for _, text := range s.Times {
		next, err := NextRun(text, after)
		if err != nil {
			return time.Time{}, err
		}
		if first.IsZero() || next.Before(first) {
			first = next
		}
	}
	if first.IsZero() {
		return first, errors.New("there is no schedule")
	}
	return first, nil
}

const zonePrefix = "CRON_TZ="

// NextRun is the first time after a given one that a schedule names: five fields of
// cron (six with seconds first), @daily and the like. CRON_TZ=ZONE before it names a
// time zone; else it is that of after.
func NextRun(schedule string, after time.Time) (time.Time, error) {
	expr := strings.TrimSpace(schedule)
	if zone, ok := strings.CutPrefix(expr, zonePrefix); ok {
		name, rest, _ := strings.Cut(zone, " ")
		location, err := time.LoadLocation(name)
		if err != nil || name == "" {
			return time.Time{}, fmt.Errorf("there is no time zone %q", name)
		}
		after, expr = after.In(location), strings.TrimSpace(rest)
	}
	if !gronx.New().IsValid(expr) {
		return time.Time{}, errors.New("it is no schedule in cron syntax")
	}
	next, err := gronx.NextTickAfter(expr, after, false)
	if err != nil || !next.After(after) {
		return time.Time{}, errors.New("it never comes")
	}
	return next, nil
}
