package scheduler

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
	"stack/spec"
)

// Details are what a container was made of, for `inspect` and for knowing which
// layers and volumes are in use: LIB/projects/PROJECT/layers/ID/container.json
// (0600). Written when the container is created, and again at each start.
type Details struct {
	// Service is its service as it was then, after the options of `run`.
	Service types.ServiceConfig
	Image   image.Image
	// Mounts are complete from the first start on: volumes_from needs the others.
	Mounts []UserMount
	// Networks are the names of the networks it joins, in the order of the
	// instance's Endpoints.
	Networks []string
	// objects are the networks, volumes, secrets and configs that Service names, as
	// spec.Encode gives them and without contents: a restart has them as they were.
	// Secrets and configs that come from a file are read anew.
	objects []byte
	// Layers are those of the images that it mounts, from the first start on.
	Layers []string
}

const detailsVersion = 1

type detailsFile struct {
	Version  int
	Service  json.RawMessage
	Image    image.Image
	Mounts   []UserMount     `json:",omitempty"`
	Networks []string        `json:",omitempty"`
	Objects  json.RawMessage `json:",omitempty"`
	Layers   []string        `json:",omitempty"`
}

func (s *Store) detailsPath(id string) string { return filepath.Join(s.LayerDir(id), "container.json") }

// SaveDetails records d for an instance that is recorded.
func (s *Store) SaveDetails(id string, d Details) error {
	service, err := spec.EncodeService(d.Service)
	if err != nil {
		return err
	}
	b, err := json.Marshal(detailsFile{detailsVersion, service, d.Image, d.Mounts, d.Networks, d.objects, d.Layers})
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(s.detailsPath(id)); err == nil && bytes.Equal(old, b) {
		return nil // the usual first start
	}
	if err := os.MkdirAll(s.LayerDir(id), 0o700); err != nil {
		return fmt.Errorf("cannot record state: %w", err)
	}
	return writeFile(s.detailsPath(id), b)
}

// LoadDetails returns what SaveDetails recorded; fs.ErrNotExist when there is none.
func (s *Store) LoadDetails(id string) (Details, error) {
	var f detailsFile
	if err := readJSON(s.detailsPath(id), &f); err != nil {
		return Details{}, err
	}
	if f.Version != detailsVersion {
		return Details{}, fmt.Errorf("%s has format %d, this stack reads %d", s.detailsPath(id), f.Version, detailsVersion)
	}
	service, err := spec.DecodeService(f.Service)
	return Details{service, f.Image, f.Mounts, f.Networks, f.Objects, f.Layers}, err
}

// detail records what a new container is made of; called under mu. A full disk
// must not keep it from running.
func (c *Controller) detail(i *Instance, svc types.ServiceConfig, img image.Image) {
	d := newDetails(c.want.Stack.Project, c.want.Stack.Files, c.want.Stack.Sources, svc, img)
	if from, err := c.mountsOf(c.want.Stack.Project, svc); err == nil {
		d.Mounts, _ = UserMounts(c.want.Stack.Project, svc, img, i.Name, from) // a mistake in it fails the start
	}
	if err := c.Store.SaveDetails(i.ID, d); err != nil {
		c.Log.Warn("cannot record what a container is made of", "container", i.Name, "error", err)
	}
}

// detail records what is about to start.
func (l *launch) detail() {
	d := newDetails(l.stack, l.files, l.binds, l.svc, l.img)
	d.Mounts = l.out.Mounts
	for _, img := range l.sources {
		d.Layers = append(d.Layers, img.Layers...)
	}
	slices.Sort(d.Layers)
	if err := l.c.Store.SaveDetails(l.i.ID, d); err != nil {
		l.c.Log.Warn("cannot record what a container is made of", "container", l.i.Name, "error", err)
	}
}

func newDetails(p *types.Project, files, binds []spec.File, svc types.ServiceConfig, img image.Image) Details {
	d := Details{Service: svc, Image: img, Networks: networkNames(p, svc)}
	// What can be decoded, as the stack was, can be encoded.
	d.objects, _ = spec.Encode(recorded(p, files, binds, svc))
	return d
}

func networkNames(p *types.Project, svc types.ServiceConfig) []string {
	var out []string
	for _, key := range attachments(svc) {
		out = append(out, NetworkName(p, key))
	}
	return out
}

// Limits are a service's resource limits after deploy.resources took precedence;
// zero is no limit. Swap counts memory and swap together.
type Limits struct {
	Memory, Swap, Reservation int64
	CPUs                      float64
	Pids                      int64
}

// LimitsOf reads a service's limits as Translate does.
func LimitsOf(s types.ServiceConfig) Limits {
	r := resourcesOf(s)
	l := Limits{Memory: r.memory, Swap: r.swap, Reservation: r.reservation, CPUs: r.cpus, Pids: r.pids}
	if l.Memory > 0 && l.Swap == 0 {
		l.Swap = saturatingDouble(l.Memory)
	}
	return l
}
