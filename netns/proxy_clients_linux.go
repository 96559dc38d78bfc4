package netns

import "golang.org/x/sys/unix"

// DefaultClients is room for 1024, or for less in a process that may hold few
// descriptors: a TCP client takes two, and four of pipes while data is spliced.
func DefaultClients() Clients {
	const most, each = 1024, 8 // proxies may take most of them, never all
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && limit.Cur < most*each {
		return NewClients(max(1, int(limit.Cur/each)))
	}
	return NewClients(most)
}
