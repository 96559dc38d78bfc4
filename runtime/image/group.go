package image

import (
	"fmt"

	"github.com/moby/sys/user"
)

// LookupGroups finds the gids of groups, names or numbers, in the image's
// /etc/group. A name that is not listed is an error.
func LookupGroups(img Image, names []string) (map[string]uint32, error) {
	if len(names) == 0 {
		return nil, nil
	}
	_, group, err := readAccounts(img)
	if err != nil {
		return nil, err
	}
	out := map[string]uint32{}
	for _, name := range names {
		gids, err := user.GetAdditionalGroups([]string{name}, reader(group))
		if err != nil {
			return nil, fmt.Errorf("cannot find group %q in image %q: %w", name, img.Ref, err)
		}
		for _, gid := range gids {
			out[name] = uint32(gid)
		}
	}
	return out, nil
}
