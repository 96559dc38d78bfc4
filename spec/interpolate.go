package spec

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
)

// interpolator replaces ${VARIABLES} in a tree and casts the results, by the
// rules and the table of compose-go, reporting every failure at its place.
type interpolator struct {
	report *report
	env    types.Mapping
	casts  *castNode
}

// castNode is compose-go's table of casts as a trie over path components.
type castNode struct {
	next map[string]*castNode
	cast interpolation.Cast
}

func newCasts() *castNode {
	root := &castNode{}
	for path, cast := range castTable() {
		n := root
		for _, part := range path.Parts() {
			if n.next == nil {
				n.next = map[string]*castNode{}
			}
			if n.next[part] == nil {
				n.next[part] = &castNode{}
			}
			n = n.next[part]
		}
		n.cast = cast
	}
	return root
}

// castTable is compose-go's own, made quiet: its boolean cast logs for "yes".
func castTable() map[tree.Path]interpolation.Cast {
	table := loader.ToOptions(&types.ConfigDetails{}, nil).Interpolate.TypeCastMapping
	quiet := make(map[tree.Path]interpolation.Cast, len(table))
	for path, cast := range table {
		quiet[path] = func(s string) (any, error) { return cast(yaml12(s)) }
	}
	return quiet
}

// yaml12 writes the booleans of YAML 1.1 in the words of 1.2.
func yaml12(s string) string {
	switch strings.ToLower(s) {
	case "true", "y", "yes", "on":
		return "true"
	case "false", "n", "no", "off":
		return "false"
	}
	return s
}

// down gives the tries that apply one component further.
func down(nodes []*castNode, part string) []*castNode {
	var out []*castNode
	for _, n := range nodes {
		for _, name := range []string{part, tree.PathMatchAll} {
			if next := n.next[name]; next != nil {
				out = append(out, next)
			}
		}
	}
	return out
}

// tree interpolates v in place.
func (in *interpolator) tree(v *value) { in.walk(v, []*castNode{in.casts}) }

func (in *interpolator) walk(v *value, casts []*castNode) {
	switch v.kind {
	case mapping:
		for name, member := range v.fields {
			in.walk(member, down(casts, name))
		}
	case sequence:
		next := down(casts, tree.PathMatchList)
		for _, item := range v.items {
			in.walk(item, next)
		}
	case scalar:
		if s, ok := v.data.(string); ok {
			in.scalar(v, s, casts)
		}
	}
}

func (in *interpolator) scalar(v *value, s string, casts []*castNode) {
	if strings.Contains(s, "$") {
		result, err := substitute(s, in.env.Resolve)
		if err != nil {
			in.failed(v, s, err)
			in.report.spoil(v.at)
			return
		}
		in.warnUnset(v, s)
		v.data, s = result, result
	}
	for _, n := range casts {
		if n.cast == nil {
			continue
		}
		cast, err := n.cast(s)
		if err != nil {
			in.report.add(v.at, "type", fmt.Sprintf("%q does not fit here: %s", s, castReason(err)), "")
			in.report.spoil(v.at)
			return
		}
		v.data = cast
		return
	}
}

// castReason says what a value should have been.
func castReason(err error) string {
	switch {
	case errors.Is(err, strconv.ErrRange):
		return "it is out of range"
	case errors.Is(err, strconv.ErrSyntax):
		return "it must be a number"
	case strings.HasPrefix(err.Error(), "invalid boolean"):
		return "it must be true or false"
	}
	return err.Error()
}

func (in *interpolator) failed(v *value, s string, err error) {
	var missing *template.MissingRequiredError
	if errors.As(err, &missing) {
		in.report.add(v.find("$", missing.Variable), "interpolation", missing.Error(), in.near(missing.Variable))
		return
	}
	in.report.add(v.find("$", ""), "interpolation", fmt.Sprintf("cannot interpolate %q: bad variable reference", s),
		"write $$ for a plain $, ${NAME:-default} for a variable with a default")
}

// warnUnset tells of variables without value and default, as Compose does.
func (in *interpolator) warnUnset(v *value, s string) {
	for name, variable := range template.ExtractVariables(map[string]any{"": s}, nil) {
		if _, set := in.env[name]; !set && plain(variable) && bare(s, name) {
			in.report.warn(v.find("$", name), "unset-variable",
				fmt.Sprintf("variable %s is not set: an empty string takes its place", name), in.near(name))
		}
	}
}

func (in *interpolator) near(name string) string {
	names := make([]string, 0, len(in.env))
	for n := range in.env {
		names = append(names, n)
	}
	slices.Sort(names)
	return DidYouMean(name, names)
}

// bare says that name stands in s as $NAME or ${NAME}: ${NAME:-} asks for nothing.
func bare(s, name string) bool {
	for _, form := range []string{"${" + name + "}", "$" + name} {
		if strings.Contains(strings.ReplaceAll(s, "$$", ""), form) {
			return true
		}
	}
	return false
}

// plain says that a variable is used without default, alternative or requirement.
func plain(v template.Variable) bool {
	return v.DefaultValue == "" && v.PresenceValue == "" && !v.Required
}

// substitute is compose-go's, kept from logging: a variable that is only used
// plainly reads as empty, which is what it becomes anyway.
func substitute(s string, lookup template.Mapping) (string, error) {
	if !strings.Contains(s, "$") {
		return s, nil
	}
	var variables map[string]template.Variable
	quiet := func(name string) (string, bool) {
		if value, ok := lookup(name); ok {
			return value, true
		}
		if variables == nil {
			variables = template.ExtractVariables(map[string]any{"": s}, nil)
		}
		variable, ok := variables[name]
		return "", ok && plain(variable)
	}
	return template.SubstituteWithOptions(s, quiet, template.WithoutLogging)
}

// find is the place of name after prefix or prefix{ in the text of a scalar, or
// the scalar's own place.
func (v *value) find(prefix, name string) place {
	if v.at.from == nil {
		return v.at
	}
	for n := v.at.line; n < v.at.line+200; n++ {
		row := []rune(v.at.from.file.line(n))
		from := 0
		if n == v.at.line {
			from = min(max(v.at.col-1, 0), len(row))
		}
		for _, needle := range []string{prefix + "{" + name, prefix + name} {
			if i := strings.Index(string(row[from:]), needle); i >= 0 {
				col := from + len([]rune(string(row[from:])[:i])) + 1
				return place{from: v.at.from, line: n, col: col}
			}
		}
	}
	return v.at
}
