package oci

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// decode is json.Unmarshal into the struct that v points to. That prepares for every
// type that v could come to hold, those of other operating systems included, before
// it looks at the text: a sixth of the time of `run`. Here a struct is taken apart
// first, and only what is there is prepared for.
func decode(text []byte, v any) error { return decodeStruct(text, reflect.ValueOf(v).Elem()) }

func decodeStruct(text []byte, v reflect.Value) error {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return err
	}
	for i := range v.NumField() {
		name := keyOf(v.Type().Field(i))
		if name == "" {
			continue
		}
		part, ok := parts[name]
		if ok {
			delete(parts, name)
		} else if part, ok = folded(parts, name); !ok {
			continue
		}
		if err := decodeValue(part, v.Field(i)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// keyOf is the key of a field, empty when it has none.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case !f.IsExported() || name == "-":
		return ""
	case name == "":
		return f.Name
	}
	return name
}

// folded finds a key that differs from name in case only, as encoding/json does; of
// several the first by the alphabet.
func folded(parts map[string]json.RawMessage, name string) (part json.RawMessage, ok bool) {
	found := ""
	for key := range parts {
		if len(key) == len(name) && strings.EqualFold(key, name) && (!ok || key < found) {
			found, part, ok = key, parts[key], true
		}
	}
	return part, ok
}

func decodeValue(text []byte, v reflect.Value) error {
	if v.Kind() == reflect.Pointer && takesApart(v.Type().Elem()) && string(text) != "null" {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return decodeStruct(text, v.Elem())
	}
	if takesApart(v.Type()) && string(text) != "null" {
		return decodeStruct(text, v)
	}
	return json.Unmarshal(text, v.Addr().Interface())
}

// takesApart says whether a type is a struct whose fields are all its own and which
// has no decoding of its own.
func takesApart(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return false
	}
	for i := range t.NumField() {
		if t.Field(i).Anonymous {
			return false
		}
	}
	return true
}
