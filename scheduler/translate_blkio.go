package scheduler

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func (t *translator) blockIO() error {
	c := t.s.BlkioConfig
	if c == nil {
		return nil
	}
	b := &specs.LinuxBlockIO{}
	if c.Weight != 0 {
		if c.Weight < 10 || c.Weight > 1000 {
			return fmt.Errorf("blkio_config: weight %d is not between 10 and 1000", c.Weight)
		}
		b.Weight = new(c.Weight)
	}
	for _, w := range c.WeightDevice {
		node, err := t.blockDevice(w.Path)
		if err != nil {
			return err
		}
		d := specs.LinuxWeightDevice{Weight: new(w.Weight)}
		d.Major, d.Minor = node.Major, node.Minor
		b.WeightDevice = append(b.WeightDevice, d)
	}
	for _, l := range []struct {
		in  []types.ThrottleDevice
		out *[]specs.LinuxThrottleDevice
	}{
		{c.DeviceReadBps, &b.ThrottleReadBpsDevice},
		{c.DeviceWriteBps, &b.ThrottleWriteBpsDevice},
		{c.DeviceReadIOps, &b.ThrottleReadIOPSDevice},
		{c.DeviceWriteIOps, &b.ThrottleWriteIOPSDevice},
	} {
		for _, d := range l.in {
			node, err := t.blockDevice(d.Path)
			if err != nil {
				return err
			}
			throttle := specs.LinuxThrottleDevice{Rate: uint64(max(d.Rate, 0))}
			throttle.Major, throttle.Minor = node.Major, node.Minor
			*l.out = append(*l.out, throttle)
		}
	}
	t.spec.Linux.Resources.BlockIO = b
	return nil
}

// blockDevices are the paths whose numbers the limits need.
func blockDevices(c *types.BlkioConfig) (paths []string) {
	if c == nil {
		return nil
	}
	for _, w := range c.WeightDevice {
		paths = append(paths, w.Path)
	}
	for _, list := range [][]types.ThrottleDevice{c.DeviceReadBps, c.DeviceWriteBps, c.DeviceReadIOps, c.DeviceWriteIOps} {
		for _, d := range list {
			paths = append(paths, d.Path)
		}
	}
	return paths
}

func (t *translator) blockDevice(name string) (DeviceNode, error) {
	node, ok := t.in.Machine.Devices[name]
	if !ok || node.Type != "b" {
		return DeviceNode{}, fmt.Errorf("blkio_config: no such block device on this machine: %s", name)
	}
	return node, nil
}

// blockChanges is what to write so that before becomes now; nil for nothing. A rate of
// 0 is no limit.
func blockChanges(before, now specs.LinuxBlockIO) *specs.LinuxBlockIO {
	var b specs.LinuxBlockIO
	if orZero(before.Weight) != orZero(now.Weight) {
		b.Weight = now.Weight
	}
	weights := map[string]uint16{}
	for _, d := range before.WeightDevice {
		weights[fmt.Sprint(d.Major, ":", d.Minor)] = orZero(d.Weight)
	}
	for _, d := range now.WeightDevice {
		if weights[fmt.Sprint(d.Major, ":", d.Minor)] != orZero(d.Weight) {
			b.WeightDevice = append(b.WeightDevice, d)
		}
	}
	b.ThrottleReadBpsDevice = rateChanges(before.ThrottleReadBpsDevice, now.ThrottleReadBpsDevice)
	b.ThrottleWriteBpsDevice = rateChanges(before.ThrottleWriteBpsDevice, now.ThrottleWriteBpsDevice)
	b.ThrottleReadIOPSDevice = rateChanges(before.ThrottleReadIOPSDevice, now.ThrottleReadIOPSDevice)
	b.ThrottleWriteIOPSDevice = rateChanges(before.ThrottleWriteIOPSDevice, now.ThrottleWriteIOPSDevice)
	if reflect.DeepEqual(b, specs.LinuxBlockIO{}) {
		return nil
	}
	return &b
}

// rateChanges are the devices whose rate is another, and those that have none now.
func rateChanges(before, now []specs.LinuxThrottleDevice) (out []specs.LinuxThrottleDevice) {
	for _, d := range now {
		if !slices.Contains(before, d) {
			out = append(out, d)
		}
	}
	for _, d := range before {
		same := func(o specs.LinuxThrottleDevice) bool { return o.Major == d.Major && o.Minor == d.Minor }
		if !slices.ContainsFunc(now, same) {
			d.Rate = 0
			out = append(out, d)
		}
	}
	return out
}
