package builder

import (
	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	"github.com/moby/buildkit/cache/remotecache/local"
	"github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
)

// remoteCaches are the kinds of cache_from and cache_to.
func remoteCaches(sm *session.Manager, store content.Store, o Options) (map[string]remotecache.ResolveCacheImporterFunc, map[string]remotecache.ResolveCacheExporterFunc) {
	return map[string]remotecache.ResolveCacheImporterFunc{
			"registry": registry.ResolveCacheImporterFunc(sm, store, o.Hosts),
			"local":    local.ResolveCacheImporterFunc(sm),
		}, map[string]remotecache.ResolveCacheExporterFunc{
			"registry": registry.ResolveCacheExporterFunc(sm, o.Hosts),
			"local":    local.ResolveCacheExporterFunc(sm),
			"inline":   inline.ResolveCacheExporterFunc(),
		}
}

// Bounds of the cache, which is trimmed after builds: contexts, cache mounts and
// repositories that nobody used for two days go first, then what is over the size.
const (
	transient = 48 * 3600e9
	small     = 512 << 20
	enough    = 20 << 30
)

func gcPolicy() []client.PruneInfo {
	return []client.PruneInfo{
		{Filter: []string{"type==source.local", "type==exec.cachemount", "type==source.git.checkout"}, KeepDuration: transient, MaxUsedSpace: small},
		{KeepDuration: 60 * 24 * 3600e9, MaxUsedSpace: enough},
		{MaxUsedSpace: enough},
		{All: true, MaxUsedSpace: enough},
	}
}
