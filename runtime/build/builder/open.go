package builder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/storage"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/platforms"
	cachemeta "github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/executor/resources"
	"github.com/moby/buildkit/exporter/containerimage"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	snapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/leaseutil"
	buildkit "github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"go.etcd.io/bbolt"

	"stack/runtime"
	"stack/runtime/image"
)

// namespace is what containerd's metadata has everything under.
const namespace = "buildkit"

// Options are what a builder works with.
type Options struct {
	// Dir is the builder's own directory: see package build.
	Dir     string
	Images  *image.Store
	Runtime runtime.Runtime
	Network Network
	// IDs is the range of the user namespaces of RUN steps.
	IDs specs.LinuxIDMapping
	// Remote opens the way to registries with the passwords of who builds.
	Remote func(credentials func(host string) (user, secret string, err error)) (image.Remote, error)
	// Hosts says where registries are, for caches kept there.
	Hosts docker.RegistryHosts
	Log   *slog.Logger
}

// Open makes a builder of a directory, which nobody else has open.
func Open(ctx context.Context, o Options) (*control.Controller, error) {
	c, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("cannot open the build cache: %w", err)
	}
	return c, nil
}

func open(ctx context.Context, o Options) (*control.Controller, error) {
	if err := prepareTemp(filepath.Join(o.Dir, "tmp")); err != nil {
		return nil, err
	}
	sessions, err := session.NewManager()
	if err != nil {
		return nil, err
	}
	w, err := newWorker(ctx, o)
	if err != nil {
		return nil, err
	}
	workers := &buildkit.Controller{}
	workers.Add(w)
	gw, err := gateway.NewGatewayFrontend(workers.Infos(), nil)
	if err != nil {
		return nil, err
	}
	store, err := bboltcachestorage.NewStore(filepath.Join(o.Dir, "cache.db"))
	if err != nil {
		return nil, err
	}
	history, err := boltutil.SafeOpen(filepath.Join(o.Dir, "history.db"), 0o600, boltOptions())
	if err != nil {
		return nil, err
	}
	keptBuilds := int64(10)
	importers, exporters := remoteCaches(sessions, w.ContentStore(), o)
	return control.NewController(control.Opt{
		SessionManager:   sessions,
		WorkerController: workers,
		Frontends: map[string]frontend.Frontend{
			"dockerfile.v0": forwarder.NewGatewayForwarder(workers.Infos(), dockerfile.Build),
			"gateway.v0":    gw,
		},
		ResolveCacheExporterFuncs: exporters,
		ResolveCacheImporterFuncs: importers,
		CacheManager:              solver.NewCacheManager(ctx, "local", store, buildkit.NewCacheResultStorage(workers)),
		Entitlements:              []string{"network.host", "security.insecure"},
		HistoryDB:                 history,
		HistoryConfig:             &config.HistoryConfig{MaxEntries: &keptBuilds},
		CacheStore:                store,
		LeaseManager:              w.LeaseManager(),
		ContentStore:              w.ContentStore(),
		GarbageCollect:            w.GarbageCollect,
	})
}

// boltOptions: as BuildKit opens its databases, without waiting for the disk.
func boltOptions() *bbolt.Options {
	return &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoFreelistSync: true, NoSync: true}
}

// prepareTemp gives the process an empty directory for temporary files, so that
// what a killed one left there is gone.
func prepareTemp(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Setenv("TMPDIR", dir)
}

func newWorker(ctx context.Context, o Options) (*worker, error) {
	opt, err := workerOptions(ctx, o)
	if err != nil {
		return nil, err
	}
	fill := &applier{Applier: opt.Applier, images: o.Images}
	opt.Applier = fill
	made, err := base.NewWorker(ctx, opt)
	if err != nil {
		return nil, err
	}
	from := &imageSource{
		images: o.Images, applier: fill, blobs: opt.ContentStore, cache: made.CacheMgr,
		remote: o.Remote, parser: made.ImageSource,
	}
	made.SourceManager.Register(from)
	writer, err := containerimage.NewImageWriter(containerimage.WriterOpt{
		Snapshotter: opt.Snapshotter, ContentStore: opt.ContentStore, Applier: opt.Applier, Differ: opt.Differ,
	})
	if err != nil {
		return nil, err
	}
	to := &imageExporter{
		images: o.Images, writer: writer, blobs: opt.ContentStore,
		content: filepath.Join(o.Dir, "content"), leases: opt.LeaseManager,
	}
	return &worker{Worker: made, source: from, export: to}, nil
}

// workerOptions open the builder's own store: containerd's content store, overlay
// snapshotter and metadata.
func workerOptions(ctx context.Context, o Options) (opt base.WorkerOpt, err error) {
	const name = "overlayfs"
	if err := os.MkdirAll(filepath.Join(o.Dir, "snapshots"), 0o700); err != nil {
		return opt, err
	}
	trees, err := storage.NewMetaStore(filepath.Join(o.Dir, "snapshots", "metadata.db"), noSync)
	if err != nil {
		return opt, err
	}
	layers, err := overlay.NewSnapshotter(filepath.Join(o.Dir, "snapshots"), overlay.WithMetaStore(trees))
	if err != nil {
		return opt, err
	}
	contentDir := filepath.Join(o.Dir, "content")
	plain, err := local.NewStore(contentDir)
	if err != nil {
		return opt, err
	}
	store := &ingests{plain, contentDir}
	db, err := boltutil.SafeOpen(filepath.Join(o.Dir, "containerd.db"), 0o600, boltOptions())
	if err != nil {
		return opt, err
	}
	meta := metadata.NewDB(db, store, map[string]snapshots.Snapshotter{name: layers})
	if err := meta.Init(ctx); err != nil {
		return opt, errors.Join(err, db.Close())
	}
	records, err := cachemeta.NewStore(filepath.Join(o.Dir, "metadata.db"))
	if err != nil {
		return opt, err
	}
	monitor, err := resources.NewMonitor()
	if err != nil {
		return opt, err
	}
	id, err := base.ID(o.Dir)
	if err != nil {
		return opt, err
	}
	contents := snapshot.NewContentStore(&blobs{Store: meta.ContentStore(), images: o.Images}, namespace)
	return base.WorkerOpt{
		ID: id, Root: o.Dir, Labels: map[string]string{},
		MetadataStore: records, ContentMetadata: db,
		Executor: &containers{
			runtime: o.Runtime, network: o.Network, dir: filepath.Join(o.Dir, "tmp"), ids: o.IDs,
			warn: func(ctx context.Context, w string) { o.Log.WarnContext(ctx, w) },
		},
		Snapshotter:     snapshot.NewSnapshotter(name, meta.Snapshotter(name), namespace, nil),
		ContentStore:    contents,
		Applier:         apply.NewFileSystemApplier(contents),
		Differ:          walking.NewWalkingDiff(contents),
		Platforms:       []v1.Platform{platforms.Normalize(platforms.DefaultSpec())},
		LeaseManager:    leaseutil.WithNamespace(metadata.NewLeaseManager(meta), namespace),
		GarbageCollect:  meta.GarbageCollect,
		MountPoolRoot:   filepath.Join(o.Dir, "tmp"),
		ResourceMonitor: monitor, RegistryHosts: o.Hosts,
		GCPolicy: gcPolicy(),
	}, nil
}
