package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"stack/runtime/log"
	"stack/scheduler"
	"stack/spec"
)

// explainLines is how many of a failed container's last log lines are shown.
const explainLines = 10

// explain prints the last log lines of the containers that made a command fail:
// those that failed, or if none did those that were waited for in vain.
func explain(a *app, s *scheduler.Store, st *spec.Stack, services []string) {
	all, err := s.Current(time.Now())
	if err != nil {
		return
	}
	culprits := func(guilty func(*scheduler.Instance) bool) []*scheduler.Instance {
		return slices.DeleteFunc(slices.Clone(all), func(i *scheduler.Instance) bool {
			return !guilty(i) || len(services) > 0 && !slices.Contains(services, i.Service) && !needed(st, services, i.Service)
		})
	}
	list := culprits(func(i *scheduler.Instance) bool {
		return i.Exit != nil && i.Exit.Code != 0 || i.Health == scheduler.HealthUnhealthy || i.Error != ""
	})
	if len(list) == 0 {
		list = culprits(func(i *scheduler.Instance) bool { return i.Health == scheduler.HealthStarting })
	}
	for _, i := range list {
		lines := lastLines(s.LogPath(i.ID))
		if len(lines) > 0 {
			fmt.Fprintf(a.stderr, "last lines of %s:\n  %s\n", i.Name, strings.Join(lines, "\n  "))
		}
	}
}

func needed(st *spec.Stack, services []string, name string) bool {
	g, err := scheduler.NewGraph(st.Project)
	return err == nil && slices.Contains(g.Closure(services...), name)
}

func lastLines(path string) []string {
	r, err := log.Open(path, log.ReadOptions{Tail: explainLines})
	if err != nil {
		return nil
	}
	defer r.Close()
	var out []string
	l := newLines(func(e log.Entry) { out = append(out, e.Text) })
	for {
		e, err := r.Next(context.Background())
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return out
			}
			l.flush()
			return out
		}
		l.add(e)
	}
}
