package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// sameImage is what rebuild returns when the build gave the image that runs.
const sameImage = -1

// errNoBuild is why a rebuild rule of a service without build cannot be carried out.
var errNoBuild = errors.New("cannot rebuild: the service has no build section")

// rebuild builds the service's image and replaces its replicas by the rolling update.
// A build that fails leaves them as they are. It tells how many were replaced.
func (r *reloader) rebuild(ctx context.Context, files int) (int, error) {
	p, svc, err := r.buildable()
	if err != nil {
		return 0, err
	}
	before := r.ids()
	r.tell(Reload{Warning: count(files, "file") + " changed, rebuilding"})
	if err := r.c.Build(ctx, p, svc); err != nil {
		return 0, fmt.Errorf("the build failed, what runs stays: %w", err)
	}
	defer r.c.quiet.during(r.restartedWith([]string{r.service}))()
	cmd := Command{Verb: VerbRebuilt, Services: []string{r.service}}
	about, err := r.c.apply(cmd)
	if err == nil {
		err = r.c.follow(ctx, cmd, about)
	}
	after := r.ids()
	fresh := len(slices.DeleteFunc(after, func(id string) bool { return slices.Contains(before, id) }))
	if fresh == 0 && err == nil {
		return sameImage, nil
	}
	return fresh, err
}

// buildable is the project and service of a build.
func (r *reloader) buildable() (*types.Project, string, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	svc, ok := r.c.want.Stack.Services[r.service]
	switch {
	case !ok:
		return nil, "", errNotInFile(r.service)
	case svc.Build == nil || r.c.Build == nil:
		return nil, "", errNoBuild
	}
	if err := buildLeads(r.c.want.Stack, svc); err != nil {
		return nil, "", err
	}
	return r.c.want.Stack.Project, r.service, nil
}

// buildLeads sees that what a build reads lies where it lay when the stack was brought
// up: nobody looks at what saved files have built.
func buildLeads(st *spec.Stack, svc types.ServiceConfig) error {
	for _, path := range spec.BuildPaths(st.Project, svc) {
		if _, err := spec.Leads(st.WorkingDir, st.Sources, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot rebuild: %w", err)
		}
	}
	return nil
}

func (r *reloader) ids() []string {
	var out []string
	for _, i := range r.instances() {
		out = append(out, i.ID)
	}
	return out
}
