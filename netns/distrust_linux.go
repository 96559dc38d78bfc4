package netns

import (
	"errors"
	"io/fs"
)

// distrusted is what a container must not learn from whoever is on its network: any
// neighbour with NET_RAW can call itself a router. Routers and addresses come from us.
// They hold for links that are made later; a service's own sysctls come after.
func distrusted() []string {
	return []string{
		"net/ipv4/conf/all/accept_redirects", // counts beside the link's own
		"net/ipv4/conf/default/accept_redirects",
		"net/ipv6/conf/default/accept_redirects",
		"net/ipv6/conf/default/accept_ra",
	}
}

// distrust runs on a thread in a container's namespace that has no links yet.
func distrust() error {
	for _, name := range distrusted() {
		if err := writeSysctl(name, "0"); err != nil && !errors.Is(err, fs.ErrNotExist) { // no IPv6
			return err
		}
	}
	return nil
}
