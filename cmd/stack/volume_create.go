package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

type volumeCreateOptions struct {
	driver string
	labels []string
	opts   []string
}

func newVolumeCreate(a *app) *cobra.Command {
	o := &volumeCreateOptions{}
	cmd := &cobra.Command{
		Use:   "create [VOLUME]",
		Short: "Make a volume that belongs to no project",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runVolumeCreate(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.driver, "driver", "d", "local", "only local")
	f.StringArrayVar(&o.labels, "label", nil, "KEY=VALUE")
	f.StringArrayVarP(&o.opts, "opt", "o", nil, "type=…, device=… or o=…, as for mount(8)")
	return cmd
}

func runVolumeCreate(_ context.Context, a *app, o *volumeCreateOptions, args []string) error {
	if o.driver != "local" {
		return fmt.Errorf("volume driver %q is not supported: only local", o.driver)
	}
	options := parseLabels(o.opts)
	if _, err := scheduler.ParseVolumeOptions(options); err != nil {
		return err
	}
	if err := requireRoot(); err != nil {
		return err
	}
	v := scheduler.Volume{Created: time.Now(), Labels: parseLabels(o.labels), Options: options}
	if len(args) == 0 {
		v.Name, v.Anonymous = randomName(), true
		v.Labels["com.docker.volume.anonymous"] = ""
	} else {
		v.Name = args[0]
	}
	if err := scheduler.CheckName("volume", v.Name); err != nil {
		return err
	}
	// One that is there already is fine, as with Docker.
	if _, err := a.volume(v.Name); errors.Is(err, errNoVolume) {
		err = a.layout.SaveVolume(v)
		if err != nil {
			return fmt.Errorf("cannot create volume %q: %w", v.Name, err)
		}
	} else if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, v.Name)
	return nil
}

func randomName() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails on Linux with getrandom
	return hex.EncodeToString(b)
}
