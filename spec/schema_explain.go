package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// explain turns one violation into diagnostics.
func (s schemaView) explain(r *report, e *jsonschema.ValidationError) {
	location := e.InstanceLocation
	v := s.tree.follow(location)
	path := append(slices.Clone(s.path), location...)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			s.unknown(r, v.child(name), path, name)
		}
	case *kind.FalseSchema:
		s.unevaluated(r, v, path)
	case *kind.Required:
		s.required(r, v, path, k)
	case *kind.UniqueItems:
		r.addf(v.items[k.Duplicates[1]].at, "value", "%s has this entry already", last(path))
	default:
		explainValue(r, v, path, e.ErrorKind)
		r.spoil(v.at)
	}
}

// explainValue reports a value of the wrong type or out of its range.
func explainValue(r *report, v *value, path []string, k jsonschema.ErrorKind) {
	switch k := k.(type) {
	case *kind.Type:
		r.add(v.at, "type", fmt.Sprintf("%s must be %s, not %s", last(path), alternatives(k.Want), v.describe()), typeHint(v, k.Want))
	case *kind.Enum:
		r.add(v.at, "value", fmt.Sprintf("%s cannot be %q: it must be one of %s", last(path), v.text(), quoted(k.Want)),
			DidYouMean(v.text(), texts(k.Want)))
	case *kind.Pattern:
		if last(path) == "ingress" || last(path) == "egress" {
			r.add(v.at, "extension", fmt.Sprintf("%q is no rate", k.Got), rateHint)
			return
		}
		r.addf(v.at, "value", "%s cannot be %q: it must match %s", last(path), k.Got, k.Want)
	case *kind.Minimum:
		r.addf(v.at, "value", "%s must be at least %s", last(path), k.Want.RatString())
	case *kind.Maximum:
		r.addf(v.at, "value", "%s must be at most %s", last(path), k.Want.RatString())
	default:
		r.addf(v.at, "schema", "%s: %s", last(path), k.LocalizedString(message.NewPrinter(language.English)))
	}
}

// follow follows an instance location, which the validator took from v itself.
func (v *value) follow(location []string) *value {
	for _, name := range location {
		if next := v.child(name); next != nil {
			v = next
		}
	}
	return v
}

// unevaluated judges a property that no part of the schema accepted. The
// validator also calls those of a failed part unevaluated: known ones are fine.
func (s schemaView) unevaluated(r *report, v *value, path []string) {
	parent, name := path[:len(path)-1], path[len(path)-1]
	if name == extensionKey {
		r.add(v.named(), "extension", "x-stack has no meaning here", "it stands in a service or a network")
		return
	}
	known, _ := s.properties(parent)
	if !slices.Contains(known, name) && !strings.HasPrefix(name, "x-") {
		s.unknown(r, v, parent, name)
	}
}

// unknown reports a key that has no meaning in the mapping at path.
func (s schemaView) unknown(r *report, v *value, path []string, name string) {
	known, open := s.properties(path)
	if len(known) == 0 && open != "" {
		r.addf(v.named(), "name", "%q is no name for an element of %s: it must match %s", name, last(path), open)
		return
	}
	where := "in " + strings.Join(path, ".")
	if len(path) == 0 {
		where = "at the top level"
	}
	hint := DidYouMean(name, known)
	if place := elsewhere()[name]; hint == "" && place != "" {
		hint = "it belongs under " + place
	}
	r.add(v.named(), "unknown-key", fmt.Sprintf("unknown key %q %s", name, where), hint)
}

// elsewhere are keys that people put at a wrong level.
func elsewhere() map[string]string {
	return map[string]string{
		"replicas": "deploy", "resources": "deploy", "update_config": "deploy", "restart_policy": "deploy",
		"placement": "deploy", "limits": "deploy.resources", "reservations": "deploy.resources",
		"image": "services.NAME", "ports": "services.NAME", "environment": "services.NAME", "command": "services.NAME",
		"interval": "healthcheck", "retries": "healthcheck", "test": "healthcheck",
		"context": "build", "args": "build", "watch": "develop", "subnet": "ipam.config",
	}
}

// required reports missing keys, but not where another file or a base may have
// them; compose-go judges the result of the merge.
func (s schemaView) required(r *report, v *value, path []string, k *kind.Required) {
	if !alone(path) && (s.partial || s.extending(path)) {
		return
	}
	for _, name := range k.Missing {
		r.addf(v.named(), "missing-key", "%s needs the key %q", last(path), name)
	}
}

// alone says that nothing is merged into the mapping at path: extends and the
// items of lists.
func alone(path []string) bool {
	return len(path) == 3 && path[2] == "extends" ||
		len(path) > 2 && slices.ContainsFunc(path[2:], func(p string) bool { _, err := strconv.Atoi(p); return err == nil })
}

// extending says that path leads into a service with a base.
func (s schemaView) extending(path []string) bool {
	return len(path) > 2 && path[0] == "services" && s.tree.get("services", path[1], "extends") != nil
}

// last names the value at path in messages: "ports[0]", "image".
func last(path []string) string {
	if len(path) == 0 {
		return "the file"
	}
	name := path[len(path)-1]
	if _, err := strconv.Atoi(name); err == nil && len(path) > 1 {
		return path[len(path)-2] + "[" + name + "]"
	}
	return name
}

// alternatives joins type names as people say them.
func alternatives(want []string) string {
	names := map[string]string{"object": "a mapping", "array": "a list", "integer": "an integer",
		"number": "a number", "string": "a string", "boolean": "a boolean", "null": "null"}
	var out []string
	for _, w := range want {
		if !slices.Contains(out, names[w]) && (w != "null" || len(want) == 1) {
			out = append(out, names[w])
		}
	}
	if len(out) == 1 {
		return out[0]
	}
	return strings.Join(out[:len(out)-1], ", ") + " or " + out[len(out)-1]
}

// typeHint helps where quoting is all that is missing.
func typeHint(v *value, want []string) string {
	if v.kind == scalar && v.data != nil && slices.Contains(want, "string") && !slices.Contains(want, "boolean") {
		return fmt.Sprintf("put it in quotes: %q", v.text())
	}
	return ""
}

func texts(values []any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprint(v)
	}
	return out
}

func quoted(values []any) string { return strings.Join(texts(values), ", ") }
