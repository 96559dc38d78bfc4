package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"stack/runtime/log"
	"stack/scheduler"
)

type logsOptions struct {
	follow, timestamps, noColor, noPrefix bool
	tail, since, until                    string
	index                                 int
}

func newLogs(a *app) *cobra.Command {
	o := &logsOptions{}
	cmd := &cobra.Command{
		Use:   "logs [SERVICE...]",
		Short: "Show logs",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLogs(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "wait for more, across restarts and new replicas")
	f.BoolVarP(&o.timestamps, "timestamps", "t", false, "show times")
	f.BoolVar(&o.noColor, "no-color", false, "plain prefixes")
	f.BoolVar(&o.noPrefix, "no-log-prefix", false, "no prefixes")
	f.StringVarP(&o.tail, "tail", "n", "all", "number of last lines of each container")
	f.StringVar(&o.since, "since", "", "from this time (RFC 3339) or age (10m) on")
	f.StringVar(&o.until, "until", "", "up to this time or age")
	f.IntVar(&o.index, "index", 0, "replica number")
	return cmd
}

func runLogs(ctx context.Context, a *app, o *logsOptions, services []string) error {
	if o.index > 0 && len(services) != 1 {
		return errors.New("--index is about the replicas of one service: name it")
	}
	s, err := a.storeWith(ctx, services)
	if err != nil {
		return err
	}
	opt, err := o.read(time.Now())
	if err != nil {
		return err
	}
	view, err := newLogView(a, s)
	if err != nil {
		return err
	}
	view.prefix, view.timestamps = !o.noPrefix, o.timestamps
	view.color = view.color && !o.noColor
	list, err := s.Current(time.Now())
	if err != nil {
		return err
	}
	list = o.choose(list, services)
	view.widen(list)
	defer view.close()
	if !o.follow {
		return view.merge(ctx, list, opt)
	}
	return o.followAll(ctx, s, view, services, opt)
}

func (o *logsOptions) choose(list []*scheduler.Instance, services []string) []*scheduler.Instance {
	return slices.DeleteFunc(slices.Clone(list), func(i *scheduler.Instance) bool {
		return i.OneOff || len(services) > 0 && !slices.Contains(services, i.Service) || o.index > 0 && i.Number != o.index
	})
}

// followAll shows every container there is and will be.
func (o *logsOptions) followAll(ctx context.Context, s *scheduler.Store, view *logView, services []string, opt log.ReadOptions) error {
	if err := s.Init(); err != nil {
		return err
	}
	changes, err := watchInstances(ctx, s)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	first := true
	for list := range changes {
		list = o.choose(list, services)
		view.widen(list)
		for _, i := range list {
			if seen[i.ID] {
				continue
			}
			seen[i.ID] = true
			read := opt
			if !first {
				read = log.ReadOptions{Until: opt.Until}
			}
			view.follow(ctx, i, read, nil)
		}
		first = false
	}
	return nil
}

// read turns the flags into what package log wants.
func (o *logsOptions) read(now time.Time) (log.ReadOptions, error) {
	var r log.ReadOptions
	if o.tail != "all" && o.tail != "" {
		n, err := strconv.Atoi(o.tail)
		if err != nil {
			return r, fmt.Errorf("cannot read --tail %q: want a number or all", o.tail)
		}
		switch {
		case n == 0:
			r.Tail = -1
		case n > 0: // fewer than none are all, as with Docker
			r.Tail = n
		}
	}
	var err error
	if r.Since, err = parseTime(o.since, now); err != nil {
		return r, err
	}
	r.Until, err = parseTime(o.until, now)
	return r, err
}

// parseTime reads an age, a Unix time or a date.
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if sec, err := strconv.ParseFloat(s, 64); err == nil {
		return time.UnixMicro(int64(sec * 1e6)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("cannot read time %q: want RFC 3339, a Unix time or an age such as 10m", s)
}
