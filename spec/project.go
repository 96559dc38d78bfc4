package spec

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// maxVisits is compose-go's limit on yaml nodes; its default refuses files of
// about 25,000 lines.
const maxVisits = 4 * maxValues

// project lets compose-go load the files once more, now that they are known to
// be good, and narrows the result.
func (j *job) project(ctx context.Context) (*Stack, error) {
	p, err := j.assemble(ctx)
	if err != nil {
		return nil, err
	}
	p.ComposeFiles = j.src.paths
	if !j.opts.NoConsistency {
		alignReplicas(p)
	}
	if p, err = j.narrow(p); err != nil {
		return nil, err
	}
	st := &Stack{Project: p, positions: positions{root: j.model.expanded()}}
	if !j.opts.NoEnvResolution {
		st.Digests = fileDigests(p)
	}
	if !j.opts.KeepProfiles {
		inlineProfiles(p, j.report.looks)
	}
	st.Files, st.Sources = j.report.located(), hostSources(p)
	return st, nil
}

func (j *job) mapping(ctx context.Context) (map[string]any, error) {
	return loader.LoadModelWithContext(ctx, j.details(0, 1), j.loaderOptions)
}

// details are what compose-go starts from: the files, or when there is nothing
// to merge the i-th of n shares of the tree, which saves it a third of its time.
func (j *job) details(i, n int) types.ConfigDetails {
	d := types.ConfigDetails{WorkingDir: j.src.dir, Environment: j.model.env.Clone()}
	for _, f := range j.files {
		config := types.ConfigFile{Filename: f.path, Content: f.text}
		if !j.model.composed {
			config.Config = j.model.share(i, n)
		}
		d.ConfigFiles = append(d.ConfigFiles, config)
	}
	return d
}

// loaderOptions: the consistency check is ours; compose-go's stops at the first
// problem and takes exponential time on dense graphs. Its schema check is needed
// where merging may have put together what each file alone could not show. The
// tree has its variables replaced and values cast already.
func (j *job) loaderOptions(o *loader.Options) {
	o.SetProjectName(j.model.name, true)
	o.Profiles = j.model.profiles
	o.SkipConsistencyCheck = true
	o.SkipValidation = !j.model.composed
	o.SkipInterpolation = j.opts.NoInterpolate
	o.SkipNormalization = j.opts.NoNormalize
	o.ResolvePaths = !j.opts.NoResolvePaths
	o.SkipResolveEnvironment = true
	o.SkipResolveLabels = true
	o.MaxNodeVisits = maxVisits
	o.Interpolate = nil
	if j.model.composed {
		o.Interpolate = &interpolation.Options{
			Substitute:      substitute,
			LookupValue:     j.model.env.Resolve,
			TypeCastMapping: castTable(),
		}
	}
}

// alignReplicas does what compose-go's consistency check does beside checking.
func alignReplicas(p *types.Project) {
	for _, s := range p.Services {
		if s.Scale != nil && s.Deploy != nil {
			s.Deploy.Replicas = s.Scale
		}
	}
}

// narrow applies the selection, then resolves what only the selected need.
func (c *composer) narrow(p *types.Project) (*types.Project, error) {
	if len(c.opts.Services) > 0 {
		s, err := (&Stack{Project: p}).Select(c.opts.Services, !c.opts.NoDeps)
		if err != nil {
			return nil, err
		}
		p = s.Project
	}
	if c.opts.NoEnvResolution {
		return p, nil
	}
	p, err := p.WithServicesEnvironmentResolved(false)
	if err != nil {
		return nil, err
	}
	return p.WithServicesLabelsResolved(false)
}

var foreignPath = regexp.MustCompile(`(services|networks|volumes|secrets|configs|name|include)\b[\w.\-\[\]]*`)

// foreign reports an error of compose-go that our own rules did not foresee, as
// near to its place as the path in its message leads.
func (c *composer) foreign(m *model, err error) {
	message := strings.TrimSpace(err.Error())
	if i := strings.Index(message, ": "); i > 0 && strings.HasPrefix(message, "validating ") {
		message = message[i+2:]
	}
	if path := foreignPath.FindString(message); path != "" {
		s := Stack{positions: positions{root: m.root}}
		names := strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) })
		if at, v := s.At(names...), m.root.nearest(names); at.Line > 0 && v != nil {
			c.report.add(v.named(), "compose", message, "")
			return
		}
	}
	c.report.global(m.source(), "compose", fmt.Sprintf("cannot load: %s", message), "")
}

// nearest follows names as far as they lead.
func (v *value) nearest(names []string) *value {
	for _, name := range names {
		next := v.child(name)
		if next == nil {
			break
		}
		v = next
	}
	return v
}
