package scheduler

import (
	"maps"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
)

// LoneNetwork describes a network that belongs to no project: what `network
// create` makes and stack files call external. c is read as that of a file.
func LoneNetwork(name string, c types.NetworkConfig) (netns.Network, error) {
	c.Name, c.External = name, false
	n, err := network(&types.Project{Networks: types.Networks{name: c}}, name)
	n.ID = netns.NetworkID("", name)
	n.Labels = maps.Clone(map[string]string(c.Labels))
	return n, err
}
