package spec

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
	"github.com/compose-spec/compose-go/v2/types"
)

// ScheduleOf is when a service is to be started, in cron syntax; "" is by up alone.
func ScheduleOf(s types.ServiceConfig) string {
	x, err := ServiceExtension(s)
	if err != nil {
		return ""
	}
	return x.Schedule
}

// NextRun is the first time after a given one that a schedule names: five fields of
// cron (six with seconds first), @daily and the like. CRON_TZ=ZONE before it names a
// time zone; else it is that of after.
func NextRun(schedule string, after time.Time) (time.Time, error) {
	expr := strings.TrimSpace(schedule)
	if zone, ok := strings.CutPrefix(expr, "CRON_TZ="); ok {
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
