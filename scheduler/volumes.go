package scheduler

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/compose-spec/compose-go/v2/types"
)

// VolumeName is the name on the machine of the volume that the file calls key:
// its `name:`, or PROJECT_KEY; an external one is called as it is.
func VolumeName(p *types.Project, key string) string {
	v := p.Volumes[key]
	switch {
	case v.Name != "":
		return v.Name
	case bool(v.External):
		return key
	}
	return p.Name + "_" + key
}

// NetworkName is the same for networks.
func NetworkName(p *types.Project, key string) string {
	n := p.Networks[key]
	switch {
	case n.Name != "":
		return n.Name
	case bool(n.External):
		return key
	}
	return p.Name + "_" + key
}

// AnonymousVolume is the name of the volume that an instance has at a target
// without the file naming it: 64 hexadecimal digits, the same when the instance
// is recreated under its name.
func AnonymousVolume(instance, target string) string {
	sum := sha256.Sum256([]byte(instance + "\x00" + target))
	return hex.EncodeToString(sum[:])
}

// VolumeHash changes when the declaration of a volume does.
func VolumeHash(v types.VolumeConfig) string {
	v.Driver = cmp.Or(v.Driver, "local")
	return hashOf(v)
}

// NetworkHash changes when the declaration of a network does.
func NetworkHash(n types.NetworkConfig) string {
	n.Driver = cmp.Or(n.Driver, "bridge")
	return hashOf(n)
}

// hashOf digests the JSON form, whose maps are sorted. The types it is given
// marshal without error.
func hashOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
