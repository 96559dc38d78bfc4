package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"

	"github.com/moby/sys/user"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxAccounts bounds /etc/passwd and /etc/group of an image.
const maxAccounts = 16 << 20

// LookupUser finds who a process runs as, and that user's home directory, in the
// image's own /etc/passwd and /etc/group. As in Docker, spec is "", "name", "uid",
// "name:group" or "uid:gid" in any mix; a number need not be listed, a name must
// be; the groups that list the user count unless spec names a group. groupAdd are
// further groups, names or numbers. AdditionalGids is sorted and has the primary
// group too (CVE-2022-36109: a missing one could be used to get around denials).
func LookupUser(img Image, spec string, groupAdd []string) (specs.User, string, error) {
	u, home, err := lookupUser(img, spec, groupAdd)
	if err != nil {
		return specs.User{}, "", fmt.Errorf("cannot find user %q in image %q: %w", spec, img.Ref, err)
	}
	return u, home, nil
}

func lookupUser(img Image, spec string, groupAdd []string) (specs.User, string, error) {
	passwd, group, err := readAccounts(img)
	if err != nil {
		return specs.User{}, "", err
	}
	return ParseUser(passwd, group, spec, groupAdd)
}

// ParseUser is LookupUser in the contents of /etc/passwd and /etc/group; nil for a
// file that is absent.
func ParseUser(passwd, group []byte, spec string, groupAdd []string) (specs.User, string, error) {
	found, err := user.GetExecUser(spec, &user.ExecUser{Home: "/"}, reader(passwd), reader(group))
	if err != nil {
		return specs.User{}, "", err
	}
	extra, err := user.GetAdditionalGroups(groupAdd, reader(group))
	if err != nil {
		return specs.User{}, "", err
	}
	groups := append(append([]int{found.Gid}, found.Sgids...), extra...)
	u := specs.User{}
	// The file may say anything; a number that wraps around could become root.
	for _, id := range append(groups, found.Uid) {
		if id < 0 || id > math.MaxInt32 {
			return specs.User{}, "", fmt.Errorf("the id %d is out of range", id)
		}
	}
	u.UID, u.GID = uint32(found.Uid), uint32(found.Gid)
	for _, gid := range groups {
		u.AdditionalGids = append(u.AdditionalGids, uint32(gid))
	}
	slices.Sort(u.AdditionalGids)
	u.AdditionalGids = slices.Compact(u.AdditionalGids)
	if found.Home == "" {
		found.Home = "/"
	}
	return u, found.Home, nil
}

// reader is nil for an absent file, which the parser tells from an empty one.
func reader(data []byte) io.Reader {
	if data == nil {
		return nil
	}
	return bytes.NewReader(data)
}

// readAccounts gives /etc/passwd and /etc/group; nil for one that is absent.
func readAccounts(img Image) (passwd, group []byte, err error) {
	v, err := openView(img)
	if err != nil {
		return nil, nil, err
	}
	defer v.close()
	for name, into := range map[string]*[]byte{"/etc/passwd": &passwd, "/etc/group": &group} {
		data, err := v.readFile(name, maxAccounts)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		*into = data
	}
	return passwd, group, nil
}
