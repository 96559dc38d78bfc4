package cgroup

import "math"

// weightOfShares maps cpu.shares (2 to 262144, default 1024) to cpu.weight (1
// to 10000, default 100) so that least, default and most meet, as runc, crun
// and containerd do.
func weightOfShares(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// weightOfBlkio maps blkio.weight (10 to 1000) to io.weight (1 to 10000).
func weightOfBlkio(weight uint16) uint64 {
	if weight <= 10 {
		return 1
	}
	return 1 + (uint64(weight)-10)*9999/990
}
