package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"stack/scheduler"
	"stack/scheduler/api"
)

func newWait(a *app) *cobra.Command {
	var down bool
	cmd := &cobra.Command{
		Use:   "wait [OPTIONS] SERVICE [SERVICE...]",
		Short: "Wait until containers have ended; exit with the last one's code",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWait(cmd.Context(), a, args, down)
		},
	}
	cmd.Flags().BoolVar(&down, "down-project", false, "take the project down when the first container ends")
	return cmd
}

func runWait(ctx context.Context, a *app, services []string, down bool) error {
	s, list, err := a.current(ctx, services)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(i *scheduler.Instance) bool { return !slices.Contains(services, i.Service) })
	if len(list) == 0 {
		return fmt.Errorf("no containers for project %q", s.Project)
	}
	last, err := a.waitAll(ctx, s, list, down)
	if err != nil {
		return err
	}
	if down {
		if err := runDown(ctx, a, s, scheduler.Command{Verb: scheduler.VerbDown}); err != nil {
			return err
		}
	}
	if last != 0 {
		return exitError(last)
	}
	return nil
}

var errFirst = errors.New("the first container ended")

// waitAll tells of each container as it ends and returns the code of the last one,
// or of the first, with which it then stops waiting.
func (a *app) waitAll(ctx context.Context, s *scheduler.Store, list []*scheduler.Instance, first bool) (int, error) {
	var mu sync.Mutex
	code, ended := 0, false
	group, waiting := errgroup.WithContext(ctx)
	for _, i := range list {
		group.Go(func() error {
			got, err := a.waitOne(waiting, s, i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || first && ended {
				return err
			}
			code, ended = got, true
			fmt.Fprintf(a.stdout, "container %q exited with status code %d\n", i.ID, got)
			if first {
				return errFirst
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil && !errors.Is(err, errFirst) {
		return 0, err
	}
	return code, nil
}

// waitOne waits for one container, with another controller when one dies.
func (a *app) waitOne(ctx context.Context, s *scheduler.Store, i *scheduler.Instance) (code int, err error) {
	cmd := scheduler.Command{Verb: scheduler.VerbWait, Containers: []string{i.ID}}
	for range 3 {
		err = a.send(ctx, s, cmd, func(r scheduler.Reply) {
			if got, ok := r.Codes[i.Name]; ok {
				code = got
			}
		})
		if !errors.Is(err, api.ErrLost) {
			break
		}
	}
	return code, err
}
