package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"stack/netns"
	"stack/runtime/image"
	"stack/runtime/native"
	"stack/runtime/native/cgroup"
	"stack/runtime/native/rootfs"
	"stack/runtime/native/seccomp/profiles"
	"stack/runtime/shim"
	"stack/scheduler"
	"stack/scheduler/api"
)

// newController is the hidden verb that the shim executes.
func newController(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "controller",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runController(cmd.Context(), a)
		},
	}
}

func runController(ctx context.Context, a *app) error {
	defer time.AfterFunc(startUpTime, shrink).Stop()
	level := slog.LevelWarn
	if a.getenv("STACK_DEBUG") != "" {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	s := a.storeOf(a.project)
	if err := s.CheckFormat(); err != nil {
		return err
	}
	options, err := a.shimOptions(s)
	if err != nil {
		return err
	}
	keeper, err := shim.NewKeeper(ctx, options)
	if err != nil {
		return err
	}
	defer keeper.Close()
	c, err := a.controllerOf(s, keeper, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := serveAPI(ctx, keeper, c, log); err != nil {
		return err
	}
	go watchShim(ctx, keeper, c, log)
	if err := c.Run(ctx); err != nil {
		return err
	}
	// Nothing is left to keep: the shim ends, and with it this process's reason.
	return keeper.Stop(ctx)
}

// startUpTime is how long a controller collects as seldom as a command does: it is
// started to bring many containers up.
const startUpTime = time.Second

// shrink is for the time after: little memory, and what was used given back.
func shrink() {
	debug.SetGCPercent(longLived)
	debug.FreeOSMemory()
}

// controllerOf puts a controller together.
func (a *app) controllerOf(s *scheduler.Store, keeper *shim.Keeper, log *slog.Logger) (*scheduler.Controller, error) {
	host, err := netns.Open(netns.Options{State: s.Layout.Networks(), Project: s.Project, Log: log})
	if err != nil {
		return nil, err
	}
	images, err := image.Open(s.Layout.Images(), log)
	if err != nil {
		return nil, err
	}
	groups, err := cgroup.Detect()
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	containers := a.runtimes(s, native.Options{CloneParent: true, Log: log})
	return scheduler.NewController(scheduler.Config{
		Store:        s,
		Runtime:      containers,
		Files:        containers,
		Network:      scheduler.HostNetwork{Host: host},
		Images:       images,
		Build:        buildQuietly(a),
		Keeper:       scheduler.ShimKeeper{Keeper: keeper},
		Machine:      scheduler.Machine{CgroupV2: groups.Mode == cgroup.V2, CPUs: goruntime.NumCPU()},
		CDIDirs:      a.cdiDirs(),
		Mount:        rootfs.Mount,
		Seccomp:      profiles.Default,
		ParseSeccomp: parseSeccomp,
		Neighbour:    a.neighbour,
		Version:      version,
		Live:         liveLoader{exe, s.Project},
		Log:          log,
	})
}

// serveAPI answers on the socket that the shim keeps.
func serveAPI(ctx context.Context, keeper *shim.Keeper, c *scheduler.Controller, log *slog.Logger) error {
	f, err := keeper.Held(shim.APIName)
	if err != nil {
		return err
	}
	l, err := net.FileListener(f)
	f.Close()
	if err != nil {
		return fmt.Errorf("cannot listen on the API socket: %w", err)
	}
	server := &api.Server{Controller: c, Version: api.Version{API: api.APIVersion, Stack: version, Pid: os.Getpid(), Started: time.Now()}}
	go func() {
		if err := server.Serve(ctx, l); err != nil {
			log.Error("cannot serve the API", "error", err)
		}
	}()
	return nil
}

// watchShim wakes the loop at exits. When the shim has died it hands everything to
// a new one, which starts a fresh controller; this one must end, since what it
// would create would not be the new shim's child.
func watchShim(ctx context.Context, keeper *shim.Keeper, c *scheduler.Controller, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-keeper.Exits():
			c.Wake()
		case <-keeper.Dead():
			if ctx.Err() != nil || c.Ended() {
				return
			}
			if err := keeper.Revive(context.WithoutCancel(ctx)); err != nil {
				log.Error("cannot replace the shim", "error", err)
			}
			os.Exit(1)
		}
	}
}
