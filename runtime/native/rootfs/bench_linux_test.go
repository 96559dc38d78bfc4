package rootfs

import (
	"context"
	"path/filepath"
	"testing"
)

// BenchmarkBuild is a container as Docker makes it: overlay, /dev, masks.
func BenchmarkBuild(b *testing.B) {
	for name, userNS := range map[string]bool{"userns": true, "host-ids": false} {
		b.Run(name, func(b *testing.B) { benchmarkBuild(b, userNS) })
	}
}

func benchmarkBuild(b *testing.B, userNS bool) {
	for b.Loop() {
		b.StopTimer()
		c := newContainer(b, userNS)
		c.overlayRoot(map[string]string{"etc/hostname": "x", "dev/": "", "proc/": "", "sys/": ""})
		c.setup.Root.Lowers = append(c.setup.Root.Lowers, c.layer("l2", nil), c.layer("l3", nil))
		c.setup.Root.Upper = filepath.Join(c.dir, "u")
		c.setup.Mounts, c.setup.Masked, c.setup.ReadonlyPaths = standardMounts(), defaultMasked, defaultReadonly
		b.StartTimer()
		r, err := Build(context.Background(), c.target, c.setup)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		r.close()
		c.stop()
		b.StartTimer()
	}
}
