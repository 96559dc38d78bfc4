package spec

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
)

// TestSupportCoversTypes walks compose-go's types: a key that it gained and the
// table has not would be ignored in silence.
func TestSupportCoversTypes(t *testing.T) {
	missing := map[string]bool{}
	walkType(reflect.TypeOf(types.Project{}), newSupport(), "", missing)
	for path := range missing {
		t.Errorf("%s is not in the table of support", path)
	}
}

// walkType descends as long as the table honours what it sees.
func walkType(typ reflect.Type, n *supportNode, path string, missing map[string]bool) {
	switch typ.Kind() {
	case reflect.Pointer:
		walkType(typ.Elem(), n, path, missing)
	case reflect.Slice:
		if leaf(typ.Elem()) {
			return
		}
		walkKey(typ.Elem(), n, path, tree.PathMatchList, missing)
	case reflect.Map:
		if leaf(typ.Elem()) {
			return
		}
		walkKey(typ.Elem(), n, path, tree.PathMatchAll, missing)
	case reflect.Struct:
		for i := range typ.NumField() {
			field := typ.Field(i)
			key, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			switch {
			case !field.IsExported() || key == "-" || strings.HasPrefix(key, "#") || field.Type == reflect.TypeOf(types.Extensions{}):
			case strings.Contains(options, "inline"):
				walkType(field.Type, n, path, missing)
			default:
				if key == "" {
					key = strings.ToLower(field.Name)
				}
				walkKey(field.Type, n, path, key, missing)
			}
		}
	}
}

// leaf says that a type has no keys of its own.
func leaf(typ reflect.Type) bool {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
		typ = typ.Elem()
	}
	return typ.Kind() != reflect.Struct
}

// internalKeys are compose-go's own, for its output: no file can have them.
func internalKeys() []string {
	return []string{"services.*.name", "services.*.ulimits.*.single", "services.*.build.ulimits.*.single", "services.*.build.ssh.[]", "services.*.build.ssh.[].id", "services.*.build.ssh.[].path", "jobs.*.name", "secrets.*.content"}
}

func walkKey(typ reflect.Type, n *supportNode, path, key string, missing map[string]bool) {
	path = strings.TrimPrefix(path+"."+key, ".")
	next := n.next[key]
	if slices.Contains(internalKeys(), asService(path)) {
		return
	}
	switch {
	case next == nil:
		missing[path] = true
	case next.line != nil && next.line.standing != honoured:
	case next.line == nil && len(next.next) == 0:
		missing[path] = true
	default:
		walkType(typ, next, path, missing)
	}
}

// TestSupportCoversSchema: the same for the keys of the schema, which has some
// that the types have not.
func TestSupportCoversSchema(t *testing.T) {
	root := newSupport()
	for _, path := range schema.AttributePaths() {
		n := root
		for _, part := range path.Parts() {
			next := n.step(part)
			if next == nil && (part == tree.PathMatchAll || n.line != nil && len(n.next) == 0 && part == tree.PathMatchList) {
				break // free-form
			}
			if n = next; n == nil {
				t.Errorf("%s is not in the table of support", path)
				break
			}
			if n.line != nil && n.line.standing != honoured {
				break
			}
		}
	}
}

func TestSupportTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range supportTable() {
		if seen[s.path] {
			t.Errorf("%s stands twice", s.path)
		}
		seen[s.path] = true
		if (s.standing == honoured) != (s.reason == "") {
			t.Errorf("%s: reason %q", s.path, s.reason)
		}
	}
}
