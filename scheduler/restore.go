package scheduler

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// restore returns st with one service as a revision had it. What no container is made
// of (dependencies, profiles, build) stays as it is, and so do networks and volumes.
// Configs have the content of then; so have secrets whose content came with the stack
// and is in kept, by digest; other secrets have today's. warnings tell which differ.
func restore(st *spec.Stack, rev Revision, kept map[string]string) (out *spec.Stack, warnings []string, err error) {
	svc, err := spec.DecodeService(rev.Recipe.Service)
	if err != nil {
		return nil, nil, err
	}
	now, ok := st.Services[svc.Name]
	if !ok {
		return nil, nil, errNotInFile(svc.Name)
	}
	objects, err := spec.Decode(rev.Recipe.Objects)
	if err != nil {
		return nil, nil, err
	}
	kept = copied(kept)
	eachContent(st.Project, func(_ string, content *string) { kept[contentDigest(*content)] = *content })
	r := restoration{st: copyStack(st), then: objects.Project, rev: rev, kept: kept, service: svc.Name}
	err = r.put(svc, now)
	return r.st, r.warnings, err
}

// put places svc where now is.
func (r *restoration) put(svc, now types.ServiceConfig) (err error) {
	svc.DependsOn, svc.Profiles, svc.Build, svc.PullPolicy = now.DependsOn, now.Profiles, now.Build, now.PullPolicy
	scale := now.GetScale()
	svc.Scale = &scale
	r.networks()
	if svc.Secrets, err = restoreRefs(r, "secret", svc.Secrets); err != nil {
		return err
	}
	if svc.Configs, err = restoreRefs(r, "config", svc.Configs); err != nil {
		return err
	}
	r.st.Services[svc.Name] = svc
	return nil
}

// carry returns st with the services as they are in before that were taken back to an
// earlier revision: a newer file reaches them with their own next up.
func carry(before, st *spec.Stack, services map[string]ServiceWish) (*spec.Stack, error) {
	if before == nil || before == st {
		return st, nil
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		svc, had := before.Services[name]
		now, has := st.Services[name]
		if services[name].Rollback == nil || !had || !has {
			continue
		}
		r := restoration{st: copyStack(st), then: before.Project, kept: map[string]string{}, service: name,
			rev: Revision{Recipe: &Recipe{Digests: map[string]string{}, Contents: map[string]string{}}}}
		for _, ref := range svc.Secrets {
			o, _ := object(before.Project, "secret", ref.Source)
			r.rev.Recipe.Digests["secrets/"+ref.Source] = digestOf(before, "secrets/"+ref.Source, o)
			r.kept[contentDigest(o.Content)] = o.Content
		}
		for _, ref := range svc.Configs {
			o, _ := object(before.Project, "config", ref.Source)
			r.rev.Recipe.Digests["configs/"+ref.Source] = digestOf(before, "configs/"+ref.Source, o)
			if inline(o) {
				r.rev.Recipe.Contents["configs/"+ref.Source] = o.Content
			}
		}
		if err := r.put(svc, now); err != nil {
			return nil, err
		}
		st = r.st
	}
	return st, nil
}

// copyStack copies what restore changes.
func copyStack(st *spec.Stack) *spec.Stack {
	p := *st.Project
	p.Services, p.Networks, p.Volumes = copied(p.Services), copied(p.Networks), copied(p.Volumes)
	p.Secrets, p.Configs = copied(p.Secrets), copied(p.Configs)
	out := *st
	out.Project, out.Digests = &p, copied(st.Digests)
	return &out
}

// copied is maps.Clone that makes a map of nil.
func copied[M ~map[string]V, V any](in M) M {
	if in == nil {
		return M{}
	}
	return maps.Clone(in)
}

type restoration struct {
	st       *spec.Stack
	then     *types.Project // contents by digest
	rev      Revision
	kept     map[string]string
	service  string
	warnings []string
}

// networks brings back networks and volumes that the file has no more.
func (r *restoration) networks() {
	for key, n := range r.then.Networks {
		if _, ok := r.st.Networks[key]; !ok {
			r.st.Networks[key] = n
		}
	}
	for key, v := range r.then.Volumes {
		if _, ok := r.st.Volumes[key]; !ok {
			r.st.Volumes[key] = v
		}
	}
}

// restoreRefs brings back the contents behind a service's secrets or configs.
func restoreRefs[R types.ServiceSecretConfig | types.ServiceConfigObjConfig](r *restoration, kind string, refs []R) ([]R, error) {
	var out []R
	for _, ref := range refs {
		f := types.FileReferenceConfig(ref)
		if err := r.content(kind, &f); err != nil {
			return nil, err
		}
		out = append(out, R(f))
	}
	return out, nil
}

// content sees that ref leads to the content of then. Where others use the present
// one, the former stands beside it under a name of its own.
func (r *restoration) content(kind string, ref *types.FileReferenceConfig) error {
	id := kind + "s/" + ref.Source
	then, _ := object(r.then, kind, ref.Source)
	now, here := object(r.st.Project, kind, ref.Source)
	digest := r.rev.Recipe.Digests[id]
	if here && digest == digestOf(r.st, id, now) {
		return nil
	}
	text, ok := r.rev.Recipe.Contents[id]
	if kind == "secret" && inline(then) {
		text, ok = r.kept["sha256:"+digest]
	}
	switch {
	case ok:
	case here:
		r.warnings = append(r.warnings, fmt.Sprintf("service %s: %s %q has its present content, that of revision %d is not kept", r.service, kind, ref.Source, r.rev.Number))
		return nil
	case then.File != "" || bool(then.External):
		setObject(r.st.Project, kind, ref.Source, then)
		return nil
	default:
		return fmt.Errorf("the content of %s %q is not kept", kind, ref.Source)
	}
	then.File, then.Content = "", text
	if text == "" {
		then.Environment = "-" // so that it has a content, an empty one
	}
	if here && r.shared(kind, ref.Source) {
		if ref.Target == "" {
			ref.Target = ref.Source
		}
		ref.Source += "@" + r.service + "." + strconv.Itoa(r.rev.Number)
	}
	delete(r.st.Digests, kind+"s/"+ref.Source)
	setObject(r.st.Project, kind, ref.Source, then)
	return nil
}

// shared reports whether another service uses a secret or config.
func (r *restoration) shared(kind, key string) bool {
	for name, svc := range r.st.AllServices() {
		if name == r.service {
			continue
		}
		for _, s := range svc.Secrets {
			if kind == "secret" && s.Source == key {
				return true
			}
		}
		for _, c := range svc.Configs {
			if kind == "config" && c.Source == key {
				return true
			}
		}
	}
	return false
}

func object(p *types.Project, kind, key string) (types.FileObjectConfig, bool) {
	if kind == "secret" {
		o, ok := p.Secrets[key]
		return types.FileObjectConfig(o), ok
	}
	o, ok := p.Configs[key]
	return types.FileObjectConfig(o), ok
}

func setObject(p *types.Project, kind, key string, o types.FileObjectConfig) {
	if kind == "secret" {
		p.Secrets[key] = types.SecretConfig(o)
	} else {
		p.Configs[key] = types.ConfigObjConfig(o)
	}
}

// digestOf is the SHA-256 of a secret's or config's content, or "" where nobody knows it.
func digestOf(st *spec.Stack, id string, o types.FileObjectConfig) string {
	switch {
	case bool(o.External):
		return ""
	case o.File != "":
		return st.Digests[id]
	}
	sum := sha256.Sum256([]byte(o.Content))
	return hex.EncodeToString(sum[:])
}
