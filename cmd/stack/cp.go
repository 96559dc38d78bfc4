package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

type cpOptions struct {
	index   int
	archive bool
	follow  bool
	all     bool
}

func newCp(a *app) *cobra.Command {
	o := &cpOptions{}
	cmd := &cobra.Command{
		Use:   "cp [OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n  stack cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
		Short: "Copy files between a service's containers and this machine",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCp(cmd.Context(), a, o, args[0], args[1])
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.index, "index", 0, "replica number")
	f.BoolVarP(&o.archive, "archive", "a", false, "keep user and group ids")
	f.BoolVarP(&o.follow, "follow-link", "L", false, "copy what a link at SRC_PATH leads to")
	f.BoolVar(&o.all, "all", false, "also containers of run")
	return cmd
}

func runCp(ctx context.Context, a *app, o *cpOptions, from, to string) error {
	fromService, fromPath, out := splitPath(from)
	toService, toPath, in := splitPath(to)
	switch {
	case out && in:
		return errors.New("copying between services is not supported")
	case !out && !in:
		return errors.New("neither path is a service's: want SERVICE:PATH for one of them")
	case out && fromPath == "" || in && toPath == "":
		return errors.New("the path in the container is missing: want SERVICE:PATH")
	}
	if err := a.root(); err != nil {
		return err
	}
	s, err := a.store(ctx)
	if err != nil {
		return err
	}
	list, err := o.containers(ctx, a, s, fromService+toService)
	if err != nil {
		return err
	}
	c := &copying{a: a, cpOptions: o, store: s}
	if out {
		return c.out(ctx, list[0], fromPath, to)
	}
	return c.in(ctx, list, from, toPath)
}

// containers are those of a service in the order of their numbers.
func (o *cpOptions) containers(ctx context.Context, a *app, s *scheduler.Store, service string) ([]*scheduler.Instance, error) {
	all, err := s.Current(time.Now())
	if err != nil {
		return nil, err
	}
	if err := a.known(ctx, s, all, []string{service}); err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(containersOf(all, service), func(i *scheduler.Instance) bool {
		return i.OneOff && !o.all || o.index > 0 && (i.OneOff || i.Number != o.index)
	})
	if len(list) == 0 {
		return nil, fmt.Errorf("no container found for service %q", service)
	}
	return list, nil
}

// splitPath reads SERVICE:PATH; what begins with a slash or a dot is a path here.
func splitPath(arg string) (service, path string, inside bool) {
	service, path, inside = strings.Cut(arg, ":")
	if !inside || service == "" || filepath.IsAbs(arg) || strings.HasPrefix(arg, ".") || strings.Contains(service, "/") {
		return "", arg, false
	}
	return service, path, true
}

// hostPath makes a path absolute and keeps what its end says: "/" that it is a
// directory, "/." that its content is meant.
func hostPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	switch {
	case err != nil:
		return "", err
	case path == "." || strings.HasSuffix(path, "/."):
		return abs + "/.", nil
	case strings.HasSuffix(path, "/") && abs != "/":
		return abs + "/", nil
	}
	return abs, nil
}
