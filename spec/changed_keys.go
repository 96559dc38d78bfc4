package spec

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// ChangedKeys are the keys of a service that differ and of which Hash is made, as the
// stack file names them: "image", "environment.PORT", "deploy.resources". Values are
// not told: there are secrets among them.
func ChangedKeys(old, new types.ServiceConfig) []string {
	out := changedFields("", reflect.ValueOf(hashed(old)), reflect.ValueOf(hashed(new)))
	slices.Sort(out)
	return out
}

func changedFields(prefix string, old, new reflect.Value) []string {
	var out []string
	for i := range old.NumField() {
		field := old.Type().Field(i)
		key, option, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		a, b := old.Field(i), new.Field(i)
		switch {
		case reflect.DeepEqual(a.Interface(), b.Interface()), empty(a) && empty(b):
		case option == "inline" && a.Kind() == reflect.Struct:
			out = append(out, changedFields(prefix, a, b)...)
		case option == "inline" || key == "#extensions":
			out = append(out, changedMembers(prefix, a, b)...)
		case key == "-":
		default:
			out = append(out, changedValue(prefix+cmp.Or(key, strings.ToLower(field.Name)), a, b)...)
		}
	}
	return out
}

// changedValue looks one level into what both have.
func changedValue(key string, old, new reflect.Value) []string {
	if strings.Contains(key, ".") || empty(old) || empty(new) {
		return []string{key}
	}
	old, new = reflect.Indirect(old), reflect.Indirect(new)
	switch old.Kind() {
	case reflect.Struct:
		return changedFields(key+".", old, new)
	case reflect.Map:
		return changedMembers(key+".", old, new)
	}
	return []string{key}
}

func changedMembers(prefix string, old, new reflect.Value) []string {
	var out []string
	for _, key := range append(old.MapKeys(), new.MapKeys()...) {
		a, b := old.MapIndex(key), new.MapIndex(key)
		if name := prefix + key.String(); !slices.Contains(out, name) && (!a.IsValid() || !b.IsValid() || !reflect.DeepEqual(a.Interface(), b.Interface())) {
			out = append(out, name)
		}
	}
	return out
}

// empty: absent, or a collection without members.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice:
		return v.Len() == 0
	}
	return v.IsZero()
}
