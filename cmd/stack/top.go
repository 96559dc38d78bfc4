package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"stack/runtime"
	"stack/runtime/native"
	"stack/runtime/native/ps"
	"stack/scheduler"
)

func newTop(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "top [SERVICE...]",
		Short: "List the processes of running containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTop(cmd.Context(), a, args)
		},
	}
}

func runTop(ctx context.Context, a *app, services []string) error {
	if err := a.root(); err != nil {
		return err
	}
	s, list, err := a.current(ctx, services)
	if err != nil {
		return err
	}
	t := &processTable{runtime: a.runtimes(s, native.Options{}), now: time.Now()}
	for _, i := range list {
		if !live(i) || len(services) > 0 && !slices.Contains(services, i.Service) {
			continue
		}
		if err := t.add(ctx, i); err != nil {
			return err
		}
	}
	if len(t.rows) == 0 {
		return nil
	}
	tw := tabwriter.NewWriter(a.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, strings.Join(append([]string{"SERVICE", "#"}, ps.Header()...), "\t"))
	for _, row := range t.rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

type processTable struct {
	runtime *runtimes
	now     time.Time
	rows    [][]string
}

// add lists a container's processes; users are shown as the container calls them.
func (t *processTable) add(ctx context.Context, i *scheduler.Instance) error {
	if t.runtime.Machine(i.ID) {
		return t.addMachine(ctx, i)
	}
	pids, err := t.runtime.Pids(ctx, i.ID)
	if ended(err) {
		return nil
	}
	if err != nil {
		return err
	}
	root, err := t.runtime.Root(ctx, i.ID)
	if ended(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	users, err := readAccounts(ctx, t.runtime, i.ID)
	if err != nil {
		users = accounts{} // numbers will do
	}
	number := strconv.Itoa(max(1, i.Number))
	slices.Sort(pids)
	for _, pid := range pids {
		p, err := ps.Read(pid)
		if err != nil {
			continue // it ended
		}
		user := users.userName(root.ContainerID(p.UID))
		t.rows = append(t.rows, append([]string{i.Service, number}, p.Columns(user, t.now)...))
	}
	return nil
}

// addMachine lists the processes in a virtual machine, in its own numbers.
func (t *processTable) addMachine(ctx context.Context, i *scheduler.Instance) error {
	list, err := t.runtime.Processes(ctx, i.ID)
	if err != nil {
		if ended(err) {
			err = nil
		}
		return err
	}
	users, err := readAccounts(ctx, t.runtime, i.ID)
	if err != nil {
		users = accounts{} // numbers will do
	}
	for _, p := range list {
		row := ps.Process(p).Columns(users.userName(int(p.UID)), t.now)
		t.rows = append(t.rows, append([]string{i.Service, strconv.Itoa(max(1, i.Number))}, row...))
	}
	return nil
}

// ended says that a container ended since it was looked up.
func ended(err error) bool {
	return errors.Is(err, runtime.ErrNotRunning) || errors.Is(err, runtime.ErrNotFound)
}
