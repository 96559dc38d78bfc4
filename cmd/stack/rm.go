package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

type rmOptions struct {
	force, stop, volumes bool
}

func newRm(a *app) *cobra.Command {
	o := &rmOptions{}
	cmd := &cobra.Command{
		Use:   "rm [OPTIONS] [SERVICE...]",
		Short: "Remove stopped containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRm(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.force, "force", "f", false, "do not ask")
	f.BoolVarP(&o.stop, "stop", "s", false, "stop containers that run first")
	f.BoolVarP(&o.volumes, "volumes", "v", false, "also remove their anonymous volumes")
	f.BoolP("all", "a", false, "accepted for compatibility")
	f.MarkHidden("all")
	return cmd
}

func runRm(ctx context.Context, a *app, o *rmOptions, services []string) error {
	s, list, err := a.current(ctx, services)
	if err != nil {
		return err
	}
	if o.stop && len(list) > 0 {
		if err := a.do(ctx, s, scheduler.Command{Verb: scheduler.VerbStop, Services: services}); err != nil {
			return err
		}
		if list, err = s.Current(time.Now()); err != nil {
			return err
		}
	}
	var names, ids []string
	for _, i := range list {
		if !live(i) && i.Status() != "restarting" && (len(services) == 0 || slices.Contains(services, i.Service)) {
			names, ids = append(names, i.Name), append(ids, i.ID)
		}
	}
	if len(ids) == 0 {
		fmt.Fprintln(a.stderr, "No stopped containers")
		return nil
	}
	question := "Going to remove " + strings.Join(names, ", ")
	if o.force {
		fmt.Fprintln(a.stdout, question)
	} else if !a.agreed(question) {
		return nil
	}
	return a.do(ctx, s, scheduler.Command{Verb: scheduler.VerbRemove, Containers: ids, Volumes: o.volumes})
}

// agreed asks a person; anything but yes, an end of input too, is no.
func (a *app) agreed(question string) bool {
	fmt.Fprintf(a.stderr, "? %s [yN] ", question)
	line, _ := bufio.NewReader(a.stdin).ReadString('\n')
	if !isTerminal(a.stdin) {
		fmt.Fprintln(a.stderr)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true
	}
	return false
}
