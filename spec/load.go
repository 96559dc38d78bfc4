package spec

import (
	"context"
	"slices"
	"strings"
)

// Load reads the stack files that o names or that it finds. On bad input the
// error is Diagnostics with every finding; warnings alone are in the Stack.
func Load(ctx context.Context, o Options) (*Stack, error) {
	var stack *Stack
	warnings, err := load(ctx, o, func(j *job) (err error) {
		stack, err = j.project(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	stack.Warnings = warnings
	return stack, nil
}

// Model reads them likewise, but gives the merged mapping itself, in which any
// value may still be an uninterpolated string: what `config --no-interpolate`
// prints. Services, NoDeps and NoEnvResolution do not apply.
func Model(ctx context.Context, o Options) (map[string]any, Diagnostics, error) {
	var model map[string]any
	warnings, err := load(ctx, o, func(j *job) (err error) {
		model, err = j.mapping(ctx)
		return err
	})
	return model, warnings, err
}

// job is a stack that passed the rules, to be loaded by compose-go.
type job struct {
	*composer
	model *model
	src   sources
	files []*file
}

// load composes and checks, then runs finish if nothing is wrong.
func load(ctx context.Context, o Options, finish func(*job) error) (Diagnostics, error) {
	registerFormats()
	r := &report{tolerant: o.Unsupported}
	if j := prepare(o, r); j != nil && !r.list.Failed() && ctx.Err() == nil {
		if err := guard("load", func() error { return finish(j) }); err != nil {
			j.foreign(j.model, err)
		}
	}
	if o.Seen != nil {
		for path := range r.files {
			o.Seen(path)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found := r.list.Sorted()
	if found.Failed() {
		return nil, found
	}
	return found, nil
}

// prepare reads, composes and checks; nil when there is nothing to work with.
func prepare(o Options, r *report) *job {
	env := newEnvironment(o, r)
	src, ok := locate(o, env, r)
	if !ok {
		return nil
	}
	files, ok := src.read(o.Stdin, r)
	if !ok {
		return nil
	}
	c := &composer{report: r, casts: newCasts(), files: map[string]*file{}, includes: map[string]*value{}, opts: o}
	name := c.projectName(src, files, env.vars)
	env.vars[varProject] = name
	root := c.compose(scope{dir: src.dir, env: env.vars}, files)
	c.empty(root, files)

	m := newModel(root, name, profiles(o, env), env.vars, o)
	m.partial, m.composed = c.partial, c.composed
	m.check(r)
	return &job{composer: c, model: m, src: src, files: files}
}

// profiles are those asked for, else those of COMPOSE_PROFILES.
func profiles(o Options, env *environment) []string {
	if len(o.Profiles) > 0 {
		return o.Profiles
	}
	var out []string
	for p := range strings.SplitSeq(env.vars[varProfiles], ",") {
		if p = strings.TrimSpace(p); p != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// empty reports files without anything in them.
func (c *composer) empty(root *value, files []*file) {
	if len(root.fields) == 0 && !c.report.list.Failed() {
		c.report.global(files[0].name, "file", "the stack file is empty", "")
	}
}
