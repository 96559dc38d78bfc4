package scheduler

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"
)

// volumeOptions sees that a volume's driver_opts mean something here.
func (p *preflight) volumeOptions(key string, v types.VolumeConfig) {
	say := func(option, message string) {
		path := []string{"volumes", key, "driver_opts"}
		if _, written := v.DriverOpts[option]; written {
			path = append(path, option)
		}
		p.say("volume-options", message, path...)
	}
	s, err := ParseVolumeOptions(v.DriverOpts)
	var bad *optionError
	if errors.As(err, &bad) {
		say(bad.Key, bad.Error())
		return
	}
	device := s.Bind
	if onDisk(s.Kind) {
		device = s.Device
	}
	if device != "" {
		if _, err := os.Stat(device); err != nil {
			say("device", "device "+reason(device, err))
		}
	}
	if s.Kind == "" {
		return
	}
	err = p.m.Filesystem(s.Kind)
	switch {
	case errors.Is(err, syscall.ENODEV):
		say("type", fmt.Sprintf("this machine's kernel has no file system %q, nor a module of it", s.Kind))
	case err != nil:
		say("type", err.Error())
	}
}
