package spec

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// extend resolves `extends` of every service in cfg, in place.
func (c *composer) extend(s scope, cfg *value, resets [][]string) {
	services := cfg.get("services")
	if services == nil || services.kind != mapping {
		return
	}
	e := extender{composer: c, scope: s, resets: resets, bases: map[string]*value{}, judged: map[link]bool{}}
	for _, name := range slices.Clone(services.keys) {
		e.resolve(services, name, nil)
	}
}

// extender resolves the extends of one document.
type extender struct {
	*composer
	scope
	resets [][]string
	bases  map[string]*value // services of files extended from, by path
	judged map[link]bool     // bases held against the schema
}

// link is one step of a chain of extends.
type link struct{ path, service string }

// resolve gives services[name] with its bases merged in; chain are the services
// that extend it.
func (e extender) resolve(services *value, name string, chain []link) *value {
	service := services.get(name)
	ext := service.get("extends")
	if ext == nil {
		return service
	}
	e.composed = true
	here := link{ext.at.from.file.path, name}
	if slices.Contains(chain, here) {
		e.report.add(ext.at, "extends-cycle", "services extend each other: "+extendsText(append(chain, here)), "")
		e.partial = true
		service.remove("extends")
		return service
	}
	chain = append(slices.Clone(chain), here)
	ref, from, ok := e.base(services, ext)
	if !ok {
		e.partial = true
		service.remove("extends")
		return service
	}
	e.judge(from, ref.text())
	base := e.resolve(from, ref.text(), chain)
	if base == nil {
		e.undefined(ref, from)
		service.remove("extends")
		return service
	}
	base = base.clone()
	base.without(under(e.resets, "services", name))
	merged := joiner{e.report}.merge(base, service, []string{"services", name})
	merged.remove("extends")
	merged.key, merged.at = service.key, service.at
	services.set(name, merged)
	return merged
}

func extendsText(chain []link) string {
	first := slices.Index(chain, chain[len(chain)-1])
	names := []string{}
	for _, l := range chain[first:] {
		names = append(names, l.service)
	}
	return strings.Join(names, " → ")
}

// under are the paths below prefix, without it.
func under(paths [][]string, prefix ...string) [][]string {
	var out [][]string
	for _, p := range paths {
		if len(p) > len(prefix) && slices.Equal(p[:len(prefix)], prefix) {
			out = append(out, p[len(prefix):])
		}
	}
	return out
}

// base finds the services that ext refers to and the name in them.
func (e extender) base(services, ext *value) (ref, from *value, ok bool) {
	if ext.kind == scalar {
		return ext, services, true
	}
	ref = ext.get("service")
	if ref == nil {
		return nil, nil, false
	}
	file := ext.get("file")
	if file == nil {
		return ref, services, true
	}
	from, ok = e.file(absolute(file.at.from.dir, file.text(), ""), file.at)
	return ref, from, ok
}

// judge holds a base from another file against the schema, before it is merged.
// The other services there need not make sense by themselves.
func (e extender) judge(services *value, name string) {
	base := services.get(name)
	if base == nil || base.at.from == nil {
		return
	}
	here := link{base.at.from.file.path, name}
	if e.bases[here.path] == services && !e.judged[here] {
		e.judged[here] = true
		e.validate(base, []string{"services", name}, true)
	}
}

// file reads the services of a file extended from.
func (e extender) file(path string, at place) (*value, bool) {
	services, seen := e.bases[path]
	if !seen {
		f, ok := e.open(path, at)
		if !ok {
			return nil, false
		}
		services = e.services(&origin{file: f, dir: filepath.Dir(path)})
		e.bases[path] = services
	}
	if services == nil {
		e.report.add(at, "extends", fmt.Sprintf("%s has no services", shown(path)), "")
		return nil, false
	}
	return services, true
}

func (e extender) services(from *origin) *value {
	docs, ok := parse(from, e.report)
	if !ok {
		e.partial = true
	}
	merged := newMapping(place{})
	for _, doc := range docs {
		e.interpolate(e.scope, doc.root)
		merged.without(doc.resets)
		merged = joiner{e.report}.merge(merged, doc.root, nil)
	}
	if services := merged.get("services"); services != nil && services.kind == mapping {
		return services
	}
	return nil
}

func (e extender) undefined(ref, services *value) {
	e.partial = true
	e.report.add(ref.at, "extends", fmt.Sprintf("service %q to extend from is not defined", ref.text()),
		DidYouMean(ref.text(), services.keys))
}
